"""Opening images, and the labels and truths that belong to them, from files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.config import classes_from_values
from napari_fcn.data.annotations import LabelledImage, find_values
from napari_fcn.data.extra import add_channel, axes_with_channel
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError
from napari_fcn.workbench.reasons import reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo

_MOST_CLASSES = 32
_LARGEST_CLASS = 65535


def open_source(
    path: Path, ndim: int, axes: str | None = None, mask: Path | None = None
) -> ImageSource:
    """Open an image file for a 2D or 3D network, with a mask as one more channel.

    Raises
    ------
    UserError
        If they cannot be opened, or the mask does not fit the image.
    """
    opened = open_image(path, axes)
    if mask is None:
        return ImageSource(opened.data, opened.axes, ndim, opened.name)
    extra = open_image(mask).data
    data = add_channel(opened.data, opened.axes, extra, mask.name)
    return ImageSource(data, axes_with_channel(opened.axes), ndim, opened.name)


def pair_masks(masks: Sequence[Path], images: Sequence[Path]) -> list[Path | None]:
    """Return a mask, or None, for each image; `UserError` if they do not pair up."""
    if not masks:
        return [None] * len(images)
    check_pairs(images, masks, "mask")
    return list(masks)


def open_labelled(
    images: Sequence[Path],
    labels: Sequence[Path],
    *,
    ndim: int,
    dense: bool,
    axes: str | None = None,
    masks: Sequence[Path] = (),
) -> tuple[list[LabelledImage], tuple[ClassInfo, ...]]:
    """Open images with their labels, in pairs, and find the classes.

    Raises
    ------
    UserError
        If they do not pair up, do not fit, or hold no annotation.
    """
    check_pairs(images, labels, "labels")
    items = []
    extras = pair_masks(masks, images)
    for image_path, labels_path, mask in zip(images, labels, extras, strict=True):
        source = open_source(image_path, ndim, axes, mask)
        items.append(
            LabelledImage(source, read_labels(labels_path, source), dense=dense)
        )
    values = find_values(items)
    background = 0 if dense and 0 in values else 1
    strange = [v for v in sorted(values) if not 0 <= v <= _LARGEST_CLASS]
    if strange:
        raise UserError(
            f"The labels hold the number {strange[0]}; use numbers from 0 to "
            f"{_LARGEST_CLASS} for the classes."
        )
    if len(values) > _MOST_CLASSES:
        raise UserError(
            f"The labels hold {len(values)} different numbers, as masks of single "
            "objects do; give every object of a class the same number."
        )
    return items, classes_from_values(values, background=background)


def check_pairs(images: Sequence[Path], others: Sequence[Path], what: str) -> None:
    """Raise `UserError` unless there is one label or truth file for each image."""
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
        If shape or type do not fit, or the file is damaged.
    """
    opened = open_image(path)
    try:
        data = np.asarray(opened.data[...])
    except MemoryError as error:
        raise UserError(f"{path} does not fit into memory; cut it up.") from error
    except Exception as error:  # what decoders raise on damage is open
        raise UserError(
            f"{path} is damaged ({reason(error)}); copy it again."
        ) from error
    if data.dtype.kind == "f" and _whole(data):
        data = data.astype(np.int64)
    if data.dtype.kind not in "uib":
        raise UserError(f"{path.name} holds no whole numbers; save labels as integers.")
    wanted = source.label_shape
    if data.shape != wanted and _squeezed(data.shape) == _squeezed(wanted):
        data = data.reshape(wanted)
    if data.shape != wanted:
        raise UserError(
            f"{path.name} has shape {data.shape} but {source.name} needs labels of "
            f"shape {wanted}, since its axes are {source.axes.names}; check that they "
            "belong together, or name other axes."
        )
    return data


def _whole(data: NDArray[np.floating[Any]]) -> bool:
    """Tell whether all values are integers that float32 and int64 can hold."""
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(data) < 2**53) & (data % 1 == 0)).all())


def _squeezed(shape: Sequence[int]) -> list[int]:
    return [n for n in shape if n != 1]
