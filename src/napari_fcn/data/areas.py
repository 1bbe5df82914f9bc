"""Drawn areas as pixels: which ones a polygon or an ellipse covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import ellipse, polygon

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.axes import Axes

    Corners = Sequence[Sequence[float]]


def draw_areas(
    areas: Iterable[tuple[str, Corners]],
    axes: Axes,
    shape: Sequence[int],
    ndim: int = 2,
) -> NDArray[np.uint8]:
    """Return 1 in the pixels whose centres areas cover.

    Parameters
    ----------
    areas : iterable of (str, corners)
        The form, ``ellipse`` or any kind of polygon, and its corners in pixels along
        the axes of the labels; of an ellipse the corners are those of the box around
        it. An area lies in the plane of its first corner; in 3D, where objects reach
        through planes, it goes through all planes of the volume.
    axes : Axes
        Of the labels.
    shape : sequence of int
        Of the labels.
    ndim : {2, 3}
        Spatial axes of the network.

    Returns
    -------
    (label shape) uint8
    """
    mask = np.zeros(tuple(shape), np.uint8)
    rows, columns = axes.spatial(2)
    planes = [a for a in range(len(shape)) if a not in (rows, columns)]
    view = np.moveaxis(mask, (rows, columns), (-2, -1))
    size = (shape[rows], shape[columns])
    through = axes.spatial(ndim)
    for form, corners in areas:
        points = np.asarray(corners, np.float64)
        where: list[int | slice] = [
            slice(None)
            if axis in through
            else int(np.clip(np.rint(points[0, axis]), 0, shape[axis] - 1))
            for axis in planes
        ]
        covered = _covered(form, points[:, (rows, columns)], size)
        view[tuple(where)][(..., *covered)] = 1
    return mask


def box_of(
    corners: Corners, axes: Axes, shape: Sequence[int], ndim: int
) -> tuple[tuple[int, ...], tuple[slice, ...]] | None:
    """Return sample and region of a drawn rectangle; None if it lies outside.

    In 3D a rectangle in one plane goes through all planes of the volume.

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
        if ndim == 3 and low[axis] == high[axis]:
            region.append(slice(0, shape[axis]))
            continue
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
