"""Drawn areas as pixels: which ones a polygon or an ellipse covers, plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.draw import ellipse, polygon

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.axes import Axes

    Corners = Sequence[Sequence[float]]


def draw_areas(
    areas: Iterable[tuple[str, Corners]], axes: Axes, shape: Sequence[int]
) -> NDArray[np.uint8]:
    """Return 1 in the pixels whose centres areas cover.

    Parameters
    ----------
    areas : iterable of (str, corners)
        The form, ``ellipse`` or any kind of polygon, and its corners in pixels along
        the axes of the labels. An area lies in the plane of its first corner; of an
        ellipse the corners are those of the box around it.
    axes : Axes
        Of the labels.
    shape : sequence of int
        Of the labels.

    Returns
    -------
    (label shape) uint8
    """
    mask = np.zeros(tuple(shape), np.uint8)
    rows, columns = axes.spatial(2)
    order = tuple(i for i in range(len(shape)) if i not in (rows, columns))
    size = (shape[rows], shape[columns])
    for form, corners in areas:
        points = np.asarray(corners, np.float64)
        plane: list[Any] = [slice(None)] * len(shape)
        for axis in order:
            plane[axis] = int(np.clip(np.rint(points[0, axis]), 0, shape[axis] - 1))
        view = mask[tuple(plane)]
        if rows > columns:
            view = view.T
        view[_covered(form, points[:, (rows, columns)], size)] = 1
    return mask


def box_of(
    corners: Corners, axes: Axes, shape: Sequence[int], ndim: int
) -> tuple[tuple[int, ...], tuple[slice, ...]] | None:
    """Return sample and region of a drawn rectangle; None if it lies outside.

    Parameters
    ----------
    corners : sequence of points
        In pixels along the axes of the labels.
    axes : Axes
        Of the labels.
    shape : sequence of int
        Of the labels.
    ndim : {2, 3}
        Spatial axes of the network.
    """
    points = np.asarray(corners, np.float64)
    low, high = points.min(0), points.max(0)
    sample = tuple(
        int(np.clip(np.rint(points[0, a]), 0, shape[a] - 1)) for a in axes.samples(ndim)
    )
    region = []
    for axis in axes.spatial(ndim):
        start = max(0, int(np.ceil(low[axis])))
        stop = min(shape[axis], int(np.floor(high[axis])) + 1)
        if start >= stop:
            return None
        region.append(slice(start, stop))
    return sample, tuple(region)


def _covered(
    form: str, points: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if form == "ellipse":
        low, high = points.min(0), points.max(0)
        middle, radius = (low + high) / 2, (high - low) / 2
        found = ellipse(*middle, *np.maximum(radius, 0.5), shape=size)
    else:
        found = polygon(points[:, 0], points[:, 1], shape=size)
    return found[0], found[1]
