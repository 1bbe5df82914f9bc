"""Whole jobs on files, the same for window and command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.files import is_full, remove
from napari_fcn.engine.metrics import Confusion
from napari_fcn.engine.outputs import (
    Output,
    choose_output,
    output_channels,
    output_dtype,
    output_values,
)
from napari_fcn.engine.predict import Progress, check_channels, predict_source
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array
from napari_fcn.workbench.outputs import remove_leftovers, written_to
from napari_fcn.workbench.partial import Partial, fingerprint
from napari_fcn.workbench.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo, DeviceName
    from napari_fcn.data.axes import Axes
    from napari_fcn.data.source import ImageSource
    from napari_fcn.engine.model import Model


@dataclass(frozen=True)
class Target:
    """Where a prediction goes.

    Attributes
    ----------
    path : Path
        The file or OME-Zarr folder to write.
    result : str
        What to write.
    """

    path: Path
    result: Output = "labels"

    @property
    def partial(self) -> Path:
        """Folder of tiles until the prediction is complete."""
        return self.path.with_name(f"{self.path.name}.partial")


def predict_to_file(
    model: Model,
    source: ImageSource,
    target: Target,
    *,
    device: DeviceName = "auto",
    tile: int | None = None,
    resume: bool = False,
    origin: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Predict a whole image into a file, with bounded memory.

    Tiles go to a folder beside the target; when all are there the target is written
    at once and the folder removed. After a crash or a cancel the folder stays if any
    sample of the image is complete, and `resume` goes on with the next one.

    Parameters
    ----------
    model : Model
        The model.
    source : ImageSource
        The image.
    target : Target
        What to write, and where.
    device, tile, on_progress, cancelled
        As in `predict_source`.
    resume : bool
        Whether to go on with what an earlier run has left.
    origin : Path, optional
        The image's file; nothing is gone on with once it was changed.

    Raises
    ------
    UserError
        If the image does not fit the model, or nothing can be written.
    Cancelled
        If the user cancelled.
    """
    choose_output(model.config, target.result)
    check_channels(model, source)
    work = _work(model, source, target, origin, resume=resume)
    try:
        predict_source(
            model,
            source,
            work.array,
            output=target.result,
            device=device,
            tile=tile,
            on_progress=on_progress,
            cancelled=cancelled,
            done=work.is_done,
            on_sample=work.mark,
        )
        write_array(target.path, work.array, _result_axes(model, source, target)[0])
    except OSError as error:
        raise _unwritten(target, error, work) from error
    except UserError as error:
        raise UserError(f"{error}{_kept(work)}") from error
    finally:
        if not work.started:
            work.remove()
    work.remove()


def require_segmentation(model: Model) -> None:
    """Raise `UserError` if a model's output is not one channel per class."""
    if model.config.task != "segmentation":
        raise UserError(
            f"The model is for {model.config.task}, not for segmentation; choose "
            "another one."
        )


def _work(
    model: Model,
    source: ImageSource,
    target: Target,
    origin: Path | None,
    *,
    resume: bool,
) -> Partial:
    """Make the folder of tiles, or open what an earlier run has left."""
    dtype = output_dtype(model.config, target.result)
    axes, shape = _result_axes(model, source, target)
    name = fingerprint(model, source, target.result, origin)
    remove_leftovers(written_to(target.path, len(axes)))
    try:
        return Partial(target.partial, name, shape, dtype, resume=resume)
    except OSError as error:
        remove(target.partial)
        raise _unwritten(target, error) from error


def _unwritten(
    target: Target, error: OSError, work: Partial | None = None
) -> UserError:
    kept = _kept(work) if work is not None else ""
    if is_full(error):
        return UserError(
            f"The disk is full: make room in {target.path.absolute().parent}.{kept}"
        )
    return UserError(
        f"{target.path} cannot be written ({reason(error)}); choose another place."
        f"{kept}"
    )


def _kept(work: Partial) -> str:
    if not work.started:
        return ""
    return " What is done so far is kept: go on from there with --resume."


def _result_axes(
    model: Model, source: ImageSource, target: Target
) -> tuple[Axes, tuple[int, ...]]:
    axes, shape = source.label_axes, source.label_shape
    channels = output_channels(model.config, target.result)
    if channels is None:
        return axes, shape
    return axes.with_channels(), (channels, *shape)


def evaluate_image(
    model: Model,
    source: ImageSource,
    truth: NDArray[np.integer[Any]],
    *,
    device: DeviceName = "auto",
    tile: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Confusion:
    """Compare a prediction with the truth.

    Parameters
    ----------
    model : Model
        A segmentation model.
    source : ImageSource
        The image.
    truth : integer array
        Of the image's label shape. Where it holds the background's painted number, 0
        means not annotated; else 0 is background. With a single foreground class, all
        other numbers (such as those of single objects) count as that class.
    device, tile, on_progress
        As in `predict_source`.

    Returns
    -------
    Confusion
        Over the model's classes.
    """
    require_segmentation(model)
    classes = model.config.classes
    indices = truth_indices(truth, classes)
    predicted = np.zeros(source.label_shape, output_values(classes).dtype)
    predict_source(
        model, source, predicted, device=device, tile=tile, on_progress=on_progress
    )
    confusion = Confusion(len(classes))
    confusion.update(indices, _indices_of(predicted, [c.output for c in classes]))
    return confusion


def truth_indices(
    truth: NDArray[np.integer[Any]], classes: Sequence[ClassInfo]
) -> NDArray[np.int64]:
    """Turn a truth image into class indices, -1 where it says nothing."""
    if truth.size and truth.min() < 0:
        raise UserError("The truth holds negative numbers; use numbers from 0 up.")
    background = [i for i, c in enumerate(classes) if c.background]
    foreground = [i for i, c in enumerate(classes) if not c.background]
    values = [c.value for c in classes]
    indices = _indices_of(truth, values)
    painted = bool(background) and classes[background[0]].value != 0
    # A dense mask with numbers of its own, such as 0 and 255 or one per object:
    # then 1 is an object like the others, unless there are no zeros at all.
    found = {int(v) for v in np.unique(truth)}
    strokes = painted and classes[background[0]].value in found
    foreign = not found <= {0, *values}
    if len(foreground) == 1 and background and (foreign or not strokes):
        return np.where(truth == 0, background[0], foreground[0]).astype(np.int64)
    if strokes and 0 in found and found.isdisjoint(values[i] for i in foreground):
        raise UserError(
            f"The truth shows no object: in it {classes[background[0]].value} is "
            "background, and 0 is not annotated. If it is a mask of objects, give them "
            f"the number {classes[foreground[0]].value}."
        )
    if background and not strokes:
        indices[truth == 0] = background[0]
    if (indices < 0).all():
        raise UserError(
            "The truth holds none of the model's classes "
            f"({', '.join(str(v) for v in values)}); check the numbers in it."
        )
    return indices


def _indices_of(
    values: NDArray[np.integer[Any]], known: Sequence[int]
) -> NDArray[np.int64]:
    result = np.full(values.shape, -1, dtype=np.int64)
    for index, value in enumerate(known):
        result[values == value] = index
    return result
