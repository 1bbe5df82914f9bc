"""What a window may ask of the engine about a network, and what it answers.

Pictures go through files whose names are in the questions; an answer only says that
they are there. Every question gets exactly one answer, unless the engine dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fcn.config import NetworkConfig
    from napari_fcn.data.store import Region
    from napari_fcn.project import ProjectImage


@dataclass(frozen=True)
class Describe:
    """Ask what a network is like, and whether it suits what is painted.

    Attributes
    ----------
    network : NetworkConfig
        Which.
    project : Path, optional
        The project's folder.
    images : tuple of ProjectImage
        Whose painted objects it should be able to see.
    """

    network: NetworkConfig
    project: Path | None = None
    images: tuple[ProjectImage, ...] = ()


@dataclass(frozen=True)
class Described:
    """What a network is like.

    Attributes
    ----------
    network : NetworkConfig
        Which.
    parameters : int
        Weights that are learned.
    before, after : tuple of int
        Its receptive field, as `ReceptiveField` has it.
    stride : tuple of int
        Total stride per spatial axis.
    advice : str
        What to do where painted objects are larger than it can see; else empty.
    better : NetworkConfig, optional
        The network that the advice is about.
    error : str
        Why it cannot be built; else empty.
    """

    network: NetworkConfig
    parameters: int = 0
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    advice: str = ""
    better: NetworkConfig | None = None
    error: str = ""

    @property
    def size(self) -> tuple[int, ...]:
        """Edge of the receptive field per spatial axis."""
        return tuple(b + 1 + a for b, a in zip(self.before, self.after, strict=True))


@dataclass(frozen=True)
class SeeField:
    """Ask how much each pixel counts for the prediction of this one.

    Attributes
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        The image.
    sample : tuple of int
        Which sample.
    position : tuple of int
        The pixel, in the order (Z,) Y, X.
    network : NetworkConfig
        With random weights, where nothing is trained yet.
    out : Path
        Where the picture shall be, an NPY file, float32 between 0 and 1.
    """

    project: Path
    image: ProjectImage
    sample: tuple[int, ...]
    position: tuple[int, ...]
    network: NetworkConfig
    out: Path


@dataclass(frozen=True)
class FieldSeen:
    """The picture of the effective receptive field is there.

    Attributes
    ----------
    question : SeeField
        What was asked.
    start : tuple of int
        Where its first pixel lies in the sample.
    size : float
        Edge in pixels of a box with as many pixels as count noticeably.
    trained : bool
        Whether it is that of trained weights.
    error : str
        Why there is none; else empty.
    """

    question: SeeField
    start: tuple[int, ...] = ()
    size: float = 0.0
    trained: bool = False
    error: str = ""


@dataclass(frozen=True)
class TryFrame:
    """Ask how far a prediction depends on the frame through which it looks.

    Attributes
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        The image.
    sample : tuple of int
        Which sample.
    region : tuple of slice
        The part to try it on, in the order (Z,) Y, X.
    kind : str
        ``shift`` begins the frame some pixels later in the plane, ``border`` cuts
        it off on all sides of the plane, by multiples of the stride.
    pixels : int
        How far to shift.
    out : Path
        Where the picture shall be, an NPY file, float32 between 0 and 1.
    """

    project: Path
    image: ProjectImage
    sample: tuple[int, ...]
    region: Region
    kind: Literal["shift", "border"]
    pixels: int
    out: Path


@dataclass(frozen=True)
class FrameTried:
    """The picture of what the frame changes is there.

    Attributes
    ----------
    question : TryFrame
        What was asked.
    start : tuple of int
        Where its first pixel lies in the sample.
    stride : int
        Total stride of the network in the plane.
    reach : int
        How far it sees in the plane.
    by_distance : tuple of float
        The largest change of a probability at each distance from the frame's border.
    error : str
        Why there is none; else empty.
    """

    question: TryFrame
    start: tuple[int, ...] = ()
    stride: int = 1
    reach: int = 0
    by_distance: tuple[float, ...] = ()
    error: str = ""


Question = Describe | SeeField | TryFrame
Answer = Described | FieldSeen | FrameTried
