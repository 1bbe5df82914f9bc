"""Which part of an image is on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_fcn.data.axes import Axes


@dataclass(frozen=True)
class Visible:
    """A part of an image.

    Attributes
    ----------
    sample : tuple of int
        Which sample of the network's input.
    region : tuple of slice
        Which part of it, in the order (Z,) Y, X.
    """

    sample: tuple[int, ...]
    region: tuple[slice, ...]


def visible(
    viewer: ViewerModel, layer: Layer, axes: Axes, ndim: int, skip: int | None = None
) -> Visible:
    """Return what of a labels layer is on the screen.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : Labels
        A layer with the labels of the image.
    axes : Axes
        Of the labels.
    ndim : {2, 3}
        Spatial axes of the network.
    skip : int, optional
        Position of a channel axis that the layer has and the labels do not.

    Returns
    -------
    Visible
        The current sample, and its visible part. Where a sample axis is displayed, as
        when a stack is seen in 3D, its current position counts.
    """
    low, high = _bounds(viewer, layer)
    shape = layer.data.shape
    if skip is not None:
        low, high = np.delete(low, skip), np.delete(high, skip)
        shape = (*shape[:skip], *shape[skip + 1 :])
    point = _current(viewer, layer, skip)
    sample = tuple(int(point[i]) for i in axes.samples(ndim))
    region = tuple(_range(low[i], high[i], shape[i]) for i in axes.spatial(ndim))
    return Visible(sample, region)


def go_to(
    viewer: ViewerModel,
    layer: Layer,
    region: tuple[slice, ...],
    *,
    centre: bool = False,
) -> None:
    """Turn the sliders so that a region of a layer is on the screen.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    layer : Labels
        A layer of it.
    region : tuple of slice
        In pixels of the layer; what begins with None is as good everywhere.
    centre : bool
        Whether to move the camera to its middle, too.
    """
    point = _current(viewer, layer).astype(float)
    for axis, part in enumerate(region):
        if part.start is not None:
            inside = part.start <= point[axis] < part.stop
            seen = axis in _displayed(viewer, layer)
            if not inside or (centre and seen):
                point[axis] = (part.start + part.stop - 1) / 2
    world = np.asarray(layer.data_to_world(np.round(point)), float)
    world /= _units(viewer, layer)[-len(world) :]
    offset = viewer.dims.ndim - layer.ndim
    for axis in range(layer.ndim):
        if axis + offset not in viewer.dims.displayed:
            viewer.dims.set_point(axis + offset, world[axis])
    if centre:
        middle = [world[axis] for axis in _displayed(viewer, layer)]
        camera = getattr(viewer, "scene", viewer).camera  # since napari 0.9
        camera.center = (*camera.center[: 3 - len(middle)], *middle)


def _bounds(viewer: ViewerModel, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last visible index per axis of the layer.

    In 3D that is the whole volume: what the layer notes then are the corners of the
    canvas, between which a turned volume does not lie.
    """
    size = np.array(layer.data.shape)
    displayed = _displayed(viewer, layer)
    point = _current(viewer, layer)
    low, high = point.copy(), point.copy()
    corners = np.asarray(layer.corner_pixels)
    for axis in displayed:
        # zeros before the first drawing
        drawn = viewer.dims.ndisplay == 2 and corners[1, axis] > corners[0, axis]
        low[axis] = corners[0, axis] if drawn else 0
        high[axis] = corners[1, axis] if drawn else size[axis] - 1
    return np.clip(low, 0, size - 1), np.clip(high, 0, size - 1)


def _displayed(viewer: ViewerModel, layer: Layer) -> list[int]:
    offset = viewer.dims.ndim - layer.ndim
    return [axis - offset for axis in viewer.dims.displayed if axis >= offset]


def _current(viewer: ViewerModel, layer: Layer, skip: int | None = None) -> np.ndarray:
    """Return the current position in pixels of the layer."""
    point = np.asarray(layer.world_to_data(_in_units_of(viewer, layer)))
    index = np.clip(np.round(point).astype(int), 0, np.array(layer.data.shape) - 1)
    return index if skip is None else np.delete(index, skip)


def _in_units_of(viewer: ViewerModel, layer: Layer) -> np.ndarray:
    """Return the current position in the layer's units.

    Layers may come in other units than the viewer counts in, which are the finest of
    all layers; `Layer.world_to_data` does not know that.
    """
    point = np.array(viewer.dims.point, float)
    return np.asarray(point * _units(viewer, layer))


def _units(viewer: ViewerModel, layer: Layer) -> np.ndarray:
    """Return the units of the viewer in those of the layer, per axis of the viewer."""
    factors = np.ones(viewer.dims.ndim)
    units = getattr(viewer.dims, "units", None)  # since napari 0.9
    if units is not None:
        for axis in range(1, min(len(units), layer.ndim) + 1):
            if units[-axis] != layer.units[-axis]:
                factors[-axis] = (1 * units[-axis]).to(layer.units[-axis]).magnitude
    return factors


def _range(low: int, high: int, size: int) -> slice:
    return slice(int(max(0, low)), int(min(size, high + 1)))
