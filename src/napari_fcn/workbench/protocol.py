"""What goes over the pipe between window and engine: small, and no pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_fcn.engine.events import Event as TrainingEvent
from napari_fcn.workbench.questions import Answer, Question

UNCERTAINTY = -1
"""In place of a class: how unsure the network is."""

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fcn.config import (
        ClassInfo,
        CountError,
        NetworkConfig,
        Task,
        TrainingConfig,
    )
    from napari_fcn.data.axes import Axes
    from napari_fcn.data.store import Region
    from napari_fcn.project import ProjectImage


@dataclass(frozen=True)
class Train:
    """Start a run.

    Attributes
    ----------
    project : Path
        The project's folder.
    images : tuple of ProjectImage
        Those with labels.
    classes : tuple of ClassInfo
        All that are listed; those painted so far are learned.
    network : NetworkConfig
        What to train.
    training : TrainingConfig
        How to train.
    checkpoint : Path
        Where the run is kept.
    model : Path
        Where its best model is kept.
    resume : bool
        Whether to go on from the checkpoint, if there is one.
    init : Path, optional
        A model to start from.
    seconds : float, optional
        Until stopped by default.
    task : str
        What is learned.
    """

    project: Path
    images: tuple[ProjectImage, ...]
    classes: tuple[ClassInfo, ...]
    network: NetworkConfig
    training: TrainingConfig
    checkpoint: Path
    model: Path
    resume: bool = True
    init: Path | None = None
    seconds: float | None = None
    task: Task = "segmentation"


@dataclass(frozen=True)
class Pause:
    """Keep the run where it is."""


@dataclass(frozen=True)
class Resume:
    """Go on with a paused run."""


@dataclass(frozen=True)
class Stop:
    """End the run."""


@dataclass(frozen=True)
class Look:
    """Predict what is on the screen from now on.

    Attributes
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        What is looked at.
    ndim : int
        2 or 3, as the network.
    sample : tuple of int
        Which sample.
    region : tuple of slice
        The visible part, in the order (Z,) Y, X.
    probability : int, optional
        The painted number of the class whose probability is wanted, too; or
        `UNCERTAINTY`.
    task : str
        The model must be for it.
    boxes : tuple of (tuple of int, tuple of slice)
        Samples and regions that are predicted after what is visible.
    whole : bool
        Whether the rest of the sample is predicted, too, piece by piece.
    outputs : tuple of str
        For image to image: what predicted images are shown as; as the model has them
        by default.
    """

    project: Path
    image: ProjectImage
    ndim: Literal[2, 3]
    sample: tuple[int, ...]
    region: Region
    probability: int | None = None
    task: Task = "segmentation"
    boxes: tuple[tuple[tuple[int, ...], Region], ...] = ()
    whole: bool = False
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class LookAway:
    """Predict nothing on the screen."""


@dataclass(frozen=True)
class UseModel:
    """Show the predictions of a saved model while nothing is trained.

    During a run it waits until that has ended, as do the jobs that are sent after it.

    Attributes
    ----------
    path : Path or None
        The model file; None where there is no model, so that nothing is shown.
    checkpoint : Path, optional
        Of a run that may have got further before it was killed.
    """

    path: Path | None
    checkpoint: Path | None = None


@dataclass(frozen=True)
class NoteImage:
    """What the project knows of an image has changed, such as what is for testing.

    Attributes
    ----------
    image : ProjectImage
        As it is now.
    """

    image: ProjectImage


@dataclass(frozen=True)
class Compare:
    """Predict a part of an image with two models, into stores of their own.

    Attributes
    ----------
    look : Look
        The part.
    models : tuple of (Path or None)
        The two model files; None for the network as it is now.
    """

    look: Look
    models: tuple[Path | None, Path | None]


@dataclass(frozen=True)
class Painted:
    """Something was painted or erased, and is on disk.

    Attributes
    ----------
    key : str
        Of the image.
    region : tuple of slice
        Where, in the labels array.
    """

    key: str
    region: Region


@dataclass(frozen=True)
class Annotated:
    """Dots, areas or counts of boxes have changed, and are on disk.

    Attributes
    ----------
    key : str
        Of the image.
    """

    key: str


@dataclass(frozen=True)
class Apply:
    """Predict a whole image.

    Attributes
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        Which image.
    out : Path
        The Zarr array to write, of the labels' shape, preceded by the channels of
        densities and images; replaced when complete.
    model : Path, optional
        The best of the current run, or the one trained last, by default.
    task : str
        The model must be for it.
    """

    project: Path
    image: ProjectImage
    out: Path
    model: Path | None = None
    task: Task = "segmentation"


@dataclass(frozen=True)
class Export:
    """Write a Zarr array to a file that others can read.

    Attributes
    ----------
    source : Path
        The array.
    axes : Axes
        Of the array.
    target : Path
        TIFF, PNG, NPY or OME-Zarr, by its suffix.
    """

    source: Path
    axes: Axes
    target: Path


@dataclass(frozen=True)
class Suggest:
    """Find where a stroke would teach most.

    Attributes
    ----------
    project : Path
        The project's folder.
    images : tuple of ProjectImage
        Where to look.
    before : tuple of (str, tuple of slice)
        What was suggested before: key of the image, and region of its labels.
    seed : int
        Decides which parts of the images are looked at.
    """

    project: Path
    images: tuple[ProjectImage, ...]
    before: tuple[tuple[str, Region], ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class CancelJob:
    """Give up applying or exporting, also what still waits for its turn."""


@dataclass(frozen=True)
class Shutdown:
    """End the engine; a run is stopped and kept."""


Command = (
    Train
    | Pause
    | Resume
    | Stop
    | Look
    | LookAway
    | UseModel
    | NoteImage
    | Compare
    | Painted
    | Annotated
    | Apply
    | Export
    | Suggest
    | CancelJob
    | Question
    | Shutdown
)


@dataclass(frozen=True)
class Ready:
    """The engine is warm.

    Attributes
    ----------
    device : str
        Where it computes, in plain words.
    """

    device: str


@dataclass(frozen=True)
class Paused:
    """The run is paused."""


@dataclass(frozen=True)
class Rested:
    """The run has learned what is annotated; it goes on by itself when that changes."""


@dataclass(frozen=True)
class Resumed:
    """The run goes on."""


@dataclass(frozen=True)
class Shown:
    """A part of what is looked at was predicted and is on disk.

    Attributes
    ----------
    key : str
        Of the image.
    region : tuple of slice
        Where, in the predictions array.
    step : int
        Of the network that made it.
    complete : bool
        Whether all that is looked at is there.
    probability : bool
        Whether the probability store was written, too.
    whole : bool
        Whether every part of the sample has been predicted, if that was asked for.
    """

    key: str
    region: Region
    step: int
    complete: bool
    probability: bool
    whole: bool = False


@dataclass(frozen=True)
class JobProgress:
    """How far applying or exporting is.

    Attributes
    ----------
    job : str
        ``apply`` or ``export``.
    share : float
        0 to 1.
    """

    job: Literal["apply", "export"]
    share: float


@dataclass(frozen=True)
class JobFinished:
    """Applying or exporting has ended; sent exactly once per job.

    Attributes
    ----------
    job : str
        ``apply`` or ``export``.
    reason : str
        ``done``, ``cancelled`` or ``failed``.
    path : Path
        What was written, if done.
    message : str
        What went wrong and what to do.
    """

    job: Literal["apply", "export"]
    reason: Literal["done", "cancelled", "failed"]
    path: Path
    message: str = ""


@dataclass(frozen=True)
class Suggested:
    """Where to paint next.

    Attributes
    ----------
    key : str
        Of the image.
    region : tuple of slice
        Where, in the labels array.
    doubt : float
        How unsure the network is there, 0 to 1.
    reach : int
        Edge of the area around it that was judged, in pixels.
    """

    key: str
    region: Region
    doubt: float
    reach: int


@dataclass(frozen=True)
class Compared:
    """Two models have predicted a part of an image; it is on disk.

    Attributes
    ----------
    key : str
        Of the image.
    region : tuple of slice
        Where, in the predictions array.
    differing : float
        Share of its pixels that they say other classes of.
    """

    key: str
    region: Region
    differing: float


@dataclass(frozen=True)
class Calibrated:
    """How far counts are from the truth, as measured last.

    Attributes
    ----------
    error : CountError
        The variance of a count.
    widths : dict
        Standard deviations in pixels of the Gaussian of an object, by the number of
        its class.
    """

    error: CountError
    widths: dict[int, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineDied:
    """The engine's process has ended by itself; made by the window's side.

    Attributes
    ----------
    message : str
        What happened and what to do.
    """

    message: str


Event = (
    TrainingEvent
    | Ready
    | Paused
    | Rested
    | Resumed
    | Shown
    | JobProgress
    | JobFinished
    | Answer
    | Suggested
    | Compared
    | Calibrated
    | EngineDied
)
