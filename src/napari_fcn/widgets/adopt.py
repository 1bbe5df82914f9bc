"""Taking over as strokes what is painted in another Labels layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.config import ClassInfo, default_colour
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_fcn.data.store import ChunkStore
    from napari_fcn.project import ProjectImage

STROKES = "strokes"
"""What a Labels layer's metadata say of it if its content is meant as strokes."""
MARK = "napari_fcn"
NAMES = "napari_fcn_classes"
"""Key in the metadata of such a layer: the names of its classes by number."""

_MOST_CLASSES = 32
_AT_ONCE = 1 << 22


def is_marked(layer: object) -> bool:
    """Tell whether a layer holds strokes that belong to an image opened with it."""
    metadata = getattr(layer, "metadata", {})
    return bool(metadata.get(MARK) == STROKES)


def fits(labels: Labels, image: ProjectImage) -> bool:
    """Tell whether a layer has the shape of an image's labels, or of the image."""
    return _shape(labels) in (image.label_shape, _with_channels(image))


def take_strokes(labels: Labels, image: ProjectImage, store: ChunkStore) -> set[int]:
    """Paint what a layer holds over the labels of an image; 0 changes nothing.

    It is read in slabs along its first axis. Where it has the channels of the image,
    what is painted on any of them counts.

    Returns
    -------
    set of int
        The classes found.

    Raises
    ------
    UserError
        If its shape does not fit, or its numbers cannot be classes.
    """
    if not fits(labels, image):
        raise UserError(
            f"{labels.name} has shape {_shape(labels)} but the labels of {image.name} "
            f"need {image.label_shape}; choose another layer."
        )
    found: set[int] = set()
    for _, values in _slabs(labels, image):
        found |= {int(v) for v in np.unique(values)} - {0}
    _check(found, labels.name, np.iinfo(store.dtype).max)
    for where, values in _slabs(labels, image):
        store[where] = np.where(values > 0, values, store[where])
    return found


def take_mask(
    labels: Labels, image: ProjectImage, store: ChunkStore, background: int, other: int
) -> set[int]:
    """Paint a dense mask over the labels of an image; 0 in it is background.

    Parameters
    ----------
    labels : Labels
        The layer with the mask.
    image : ProjectImage
        The image.
    store : ChunkStore
        Its labels.
    background : int
        The class of 0.
    other : int
        The class of all else where the mask has one number only, whichever that is,
        or so many that they number single objects; else they are the classes.

    Returns
    -------
    set of int
        The classes found, without the background.

    Raises
    ------
    UserError
        If its shape does not fit, or its numbers cannot be classes.
    """
    if not fits(labels, image):
        raise UserError(
            f"{labels.name} has shape {_shape(labels)} but the labels of {image.name} "
            f"need {image.label_shape}; choose another layer."
        )
    found: set[int] = set()
    for _, values in _slabs(labels, image):
        found |= {int(v) for v in np.unique(values)} - {0}
    single = len(found) == 1 or len(found) > _MOST_CLASSES
    if not single:
        _check(found, labels.name, np.iinfo(store.dtype).max)
    for where, values in _slabs(labels, image):
        store[where] = np.where(values == 0, background, other if single else values)
    return {other} if single else found


def extend_classes(
    classes: tuple[ClassInfo, ...], values: set[int], names: Mapping[int, str]
) -> tuple[ClassInfo, ...]:
    """Add classes that are painted but not listed, and name those without a name."""
    known = {info.value for info in classes}
    added = [
        ClassInfo(value=v, name=f"class {v}", colour=default_colour(v))
        for v in sorted(values - known)
    ]
    return tuple(_named(info, names.get(info.value)) for info in (*classes, *added))


def _named(info: ClassInfo, name: str | None) -> ClassInfo:
    unnamed = info.name in ("background", "object", f"class {info.value}")
    return info.model_copy(update={"name": name}) if name and unnamed else info


def _shape(labels: Labels) -> tuple[int, ...]:
    return tuple(int(n) for n in _data(labels).shape)


def _data(labels: Labels) -> Any:
    return labels.data[0] if labels.multiscale else labels.data


def _with_channels(image: ProjectImage) -> tuple[int, ...]:
    """Return the shape of the image's layer, which shows colours as one pixel."""
    return image.shape[:-1] if image.axes.names.endswith("S") else image.shape


def _slabs(
    labels: Labels, image: ProjectImage
) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
    """Yield where in the image's labels, and what is painted there."""
    data = _data(labels)
    channel = None if _shape(labels) == image.label_shape else image.axes.axes().channel
    first = 1 if channel == 0 else 0
    each = max(1, math.prod(data.shape) // data.shape[first])
    step = max(1, _AT_ONCE // each)
    for start in range(0, data.shape[first], step):
        where = (slice(start, start + step),)
        values = np.asarray(data[(slice(None),) * first + where])
        if channel is not None:
            values = values.max(axis=channel)
        yield where, values


def _check(found: set[int], name: str, most: int) -> None:
    if not found:
        raise UserError(f"Nothing is painted in {name}; choose another layer.")
    if min(found) < 0 or max(found) > most:
        raise UserError(
            f"{name} holds numbers beyond 0 to {most}; give every object of a class "
            "the same number first."
        )
    if len(found) > _MOST_CLASSES:
        raise UserError(
            f"{name} holds {len(found)} different numbers, as masks of single objects "
            "do; give every object of a class the same number first."
        )
