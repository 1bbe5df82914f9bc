"""Counts that can be read off the live density map: in view, slice and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.areas import box_of
from napari_fcn.workbench.live_stores import live_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.axes import Axes
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.target_client import TargetClient

    Where = tuple[tuple[int, ...], tuple[slice, ...]]

IN_PLANE, IN_VIEW, SLICE, VOLUME = -4, -3, -2, -1
"""In place of the number of a box: what is in view, of a volume one plane of it, and
all of the sample."""


@dataclass(frozen=True)
class LiveCount:
    """How many objects of a class are somewhere.

    Attributes
    ----------
    place : int
        The number of a box from 0, or one of those above.
    label : ClassInfo
        The class.
    count : float
        The sum of the density.
    deviation : float
        Standard deviation of its error.
    reach : float
        How far from it 95 of 100 true counts lie at the most.
    truth : float, optional
        What the user says it is.
    """

    place: int
    label: ClassInfo
    count: float
    deviation: float
    reach: float
    truth: float | None = None


def live_counts(
    book: TargetClient, image: ProjectImage, view: Where, ndim: int, *, whole: bool
) -> list[LiveCount]:
    """Sum the live density.

    Parameters
    ----------
    book : TargetClient
        Whose project holds the image.
    image : ProjectImage
        The image that is looked at.
    view : (sample, region)
        What is on the screen.
    ndim : {2, 3}
        Spatial axes of the network.
    whole : bool
        Whether all of the sample has been predicted.
    """
    project = book.project
    assert project is not None
    error = book.calibration.error
    boxes = book.targets(image.key).boxes
    result = []
    for info in (c for c in project.record.classes if not c.background):
        density = book.prediction(image.key, live_store("density", info.value))
        for place, (sample, region) in _places(book, image, view, ndim, whole=whole):
            index = label_index(image.label_axes, ndim, sample, region)
            count = float(np.asarray(density[index], np.float64).sum())
            truth = boxes[place].counts.get(info.value) if place >= 0 else None
            deviation, reach = error.deviation(count), error.reach(count)
            result.append(LiveCount(place, info, count, deviation, reach, truth))
    return sorted(result, key=lambda found: found.place)


def label_index(
    axes: Axes, ndim: int, sample: tuple[int, ...], region: tuple[slice, ...]
) -> tuple[int | slice, ...]:
    """Return where a region of a sample lies in an array of labels."""
    index: list[int | slice] = [slice(None)] * len(axes)
    for axis, i in zip(axes.samples(ndim), sample, strict=True):
        index[axis] = i
    for axis, part in zip(axes.spatial(ndim), region, strict=True):
        index[axis] = part
    return tuple(index)


def _places(
    book: TargetClient, image: ProjectImage, view: Where, ndim: int, *, whole: bool
) -> Iterator[tuple[int, Where]]:
    yield (IN_PLANE if ndim == 3 else IN_VIEW), view
    axes, shape = image.label_axes, image.label_shape
    if whole:
        sample = VOLUME if ndim == 3 else SLICE
        yield sample, (view[0], tuple(slice(0, shape[a]) for a in axes.spatial(ndim)))
    for number, box in enumerate(book.targets(image.key).boxes):
        found = box_of(box.corners, axes, shape, ndim)
        if found is not None:
            yield number, found
