"""Whole jobs on files, the same for window and command line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from napari_fcn.config import classes_from_values
from napari_fcn.data.annotations import LabelledImage, find_values
from napari_fcn.data.axes import Axes
from napari_fcn.data.files import remove
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.metrics import Confusion
from napari_fcn.engine.predict import (
    Progress,
    check_channels,
    output_values,
    predict_source,
)
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo, DeviceName
    from napari_fcn.engine.model import Model

Result = Literal["labels", "probabilities"]


def open_source(path: Path, ndim: int, axes: str | None = None) -> ImageSource:
    """Open an image file for a 2D or 3D network."""
    opened = open_image(path, axes)
    return ImageSource(opened.data, opened.axes, ndim, opened.name)


def open_labelled(
    images: Sequence[Path],
    labels: Sequence[Path],
    *,
    ndim: int,
    dense: bool,
    axes: str | None = None,
) -> tuple[list[LabelledImage], tuple[ClassInfo, ...]]:
    """Open images with their labels, in pairs, and find the classes.

    Raises
    ------
    UserError
        If they do not pair up, do not fit, or hold no annotation.
    """
    _check_pairs(images, labels, "labels")
    items = []
    for image_path, labels_path in zip(images, labels, strict=True):
        source = open_source(image_path, ndim, axes)
        items.append(
            LabelledImage(source, read_labels(labels_path, source), dense=dense)
        )
    values = find_values(items)
    background = 0 if dense and 0 in values else 1
    if len(values) > _MOST_CLASSES:
        raise UserError(
            f"The labels hold {len(values)} different numbers, as masks of single "
            "objects do; give every object of a class the same number."
        )
    return items, classes_from_values(values, background=background)


_MOST_CLASSES = 256


def _check_pairs(images: Sequence[Path], others: Sequence[Path], what: str) -> None:
    if len(images) != len(others):
        raise UserError(
            f"There are {len(images)} image(s) but {len(others)} {what} file(s); "
            "give one for each image, in the same order."
        )


def read_labels(path: Path, source: ImageSource) -> NDArray[np.integer[Any]]:
    """Read a label file that belongs to an image.

    Axes of length one are ignored where they differ, and a label image of RGB colours
    is refused.

    Raises
    ------
    UserError
        If shape or type do not fit.
    """
    data = np.asarray(open_image(path).data[...])
    if data.dtype.kind == "f" and np.isfinite(data).all() and (data % 1 == 0).all():
        data = data.astype(np.int64)
    if data.dtype.kind not in "uib":
        raise UserError(f"{path.name} holds no whole numbers; save labels as integers.")
    wanted = source.label_shape
    if data.shape != wanted and _squeezed(data.shape) == _squeezed(wanted):
        data = data.reshape(wanted)
    if data.shape != wanted:
        raise UserError(
            f"{path.name} has shape {data.shape} but {source.name} needs labels of "
            f"shape {wanted}; check that they belong together."
        )
    return data


def _squeezed(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]


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
    result: Result = "labels"

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
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Predict a whole image into a file, with bounded memory.

    Tiles go to a folder beside the target; when all are there the target is written
    at once and the folder removed. After a crash or a cancel the folder stays, and
    `resume` goes on from its last complete sample.

    Raises
    ------
    UserError
        If the image does not fit the model, or nothing can be written.
    Cancelled
        If the user cancelled.
    """
    check_channels(model, source)
    work = _Partial(model, source, target, resume=resume)
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
    except OSError as error:
        raise UserError(
            f"{target.path} cannot be written ({error.strerror or error}); make room, "
            "and go on from here with --resume."
        ) from error
    write_array(target.path, work.array, work.axes)
    remove(target.partial)


class _Partial:
    """A prediction in the making, on disk."""

    def __init__(
        self, model: Model, source: ImageSource, target: Target, *, resume: bool
    ) -> None:
        self.axes, shape = _result_axes(model, source, target.result)
        labels = target.result == "labels"
        dtype = output_values(model.config.classes).dtype if labels else np.float32
        self._log = target.partial / "done.txt"
        print_of = _fingerprint(model, source, target.result)
        if resume and self._matches(print_of):
            self.array = zarr.open_array(str(target.partial / "data.zarr"), mode="r+")
            self._done = set(self._log.read_text().splitlines()[1:])
            return
        remove(target.partial)
        try:
            target.partial.mkdir(parents=True)
            chunks = (1,) * (len(shape) - 2) + tuple(min(512, n) for n in shape[-2:])
            self.array = zarr.create_array(
                str(target.partial / "data.zarr"),
                shape=shape,
                chunks=chunks,
                dtype=dtype,
            )
            self._log.write_text(print_of + "\n")
        except OSError as error:
            raise UserError(
                f"{target.path} cannot be written ({error.strerror}); choose another "
                "place."
            ) from error
        self._done = set()

    def _matches(self, print_of: str) -> bool:
        if not self._log.is_file():
            return False
        lines = self._log.read_text().splitlines()
        return bool(lines) and lines[0] == print_of

    def is_done(self, sample: tuple[int, ...]) -> bool:
        return str(sample) in self._done

    def mark(self, sample: tuple[int, ...]) -> None:
        with self._log.open("a") as log:
            log.write(f"{sample}\n")


def _result_axes(
    model: Model, source: ImageSource, result: Result
) -> tuple[Axes, tuple[int, ...]]:
    axes, shape = source.label_axes, source.label_shape
    if result == "labels":
        return axes, shape
    return (
        Axes(
            "C" + axes.names,
            (1.0, *axes.scale),
            ("pixel", *axes.units),
            (0.0, *axes.translate),
        ),
        (len(model.config.classes), *shape),
    )


def _fingerprint(model: Model, source: ImageSource, result: Result) -> str:
    """Tell one job from another: other weights or another image start anew."""
    digest = hashlib.sha256()
    for tensor in model.network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    first = tuple(slice(0, min(n, 64)) for n in source.spatial_shape)
    sample = next(iter(source.samples()))
    digest.update(source.read(sample, first).tobytes())
    about = [result, source.name, source.label_shape, str(source.dtype)]
    return f"{digest.hexdigest()} {json.dumps(about)}"


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
    background = [i for i, c in enumerate(classes) if c.background]
    foreground = [i for i, c in enumerate(classes) if not c.background]
    values = [c.value for c in classes]
    indices = _indices_of(truth, values)
    painted = bool(background) and classes[background[0]].value != 0
    # A dense mask with numbers of its own, such as 0 and 255 or one per object:
    # then 1 is an object like the others, unless there are no zeros at all.
    strokes = painted and bool((truth == classes[background[0]].value).any())
    known = {0, *values}
    foreign = not {int(v) for v in np.unique(truth)} <= known
    if len(foreground) == 1 and background and (foreign or not strokes):
        return np.where(truth == 0, background[0], foreground[0]).astype(np.int64)
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
