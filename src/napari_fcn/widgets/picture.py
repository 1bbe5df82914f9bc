"""Small pictures over a part of an image, where that part lies in the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils import Colormap
from napari.utils.transforms import CompositeAffine

from napari_fcn.widgets.placement import placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_fcn.widgets.scene import Scene

_GLOW = Colormap(
    [[0.4, 0, 0.5, 0], [0.85, 0.1, 0.3, 0.6], [1, 0.6, 0, 0.85], [1, 1, 0.8, 1]],
    name="glow",
)
"""From transparent to bright, to be seen on dark and on bright images."""


class Aim:
    """Where something is on the image that is worked on.

    Parameters
    ----------
    scene : Scene
        Whose image.

    Attributes
    ----------
    layer : Image
        The user's layer.
    names : str
        One letter per axis of the layer.
    samples, spatial : tuple of int
        Which of its axes count samples, and which are (Z,) Y, X.
    """

    def __init__(self, scene: Scene, ndim: int) -> None:
        assert scene.layer is not None
        self.layer: Image = scene.layer
        self.names = scene.names_of(scene.layer)
        self.spatial = tuple(self.names.index(n) for n in "ZYX"[-ndim:])
        channel = self.names.find("C")
        self.samples = tuple(
            i for i in range(len(self.names)) if i not in self.spatial and i != channel
        )

    def point(self, world: Any) -> NDArray[np.int64] | None:
        """Return the pixel of the layer at a place; None if it is outside."""
        point = np.round(np.asarray(self.layer.world_to_data(world))).astype(int)
        size = np.array(self.layer.data.shape[: self.layer.ndim])
        plane = list(self.spatial[-2:])
        if ((point < 0) | (point >= size))[plane].any():
            return None
        return np.asarray(np.clip(point, 0, size - 1))


class Picture:
    """A picture over a part of an image, changed again and again.

    Parameters
    ----------
    viewer : ViewerModel
        Where it is shown.
    name : str
        Of its layer.
    """

    def __init__(self, viewer: ViewerModel, name: str) -> None:
        self._viewer = viewer
        self._name = name
        self.layer: Image | None = None

    def show(
        self,
        values: NDArray[np.float32],
        aim: Aim,
        sample: tuple[int, ...],
        start: tuple[int, ...],
        most: float = 1.0,
    ) -> None:
        """Show values from 0 to `most`.

        Parameters
        ----------
        values : ndarray
            In the order (Z,) Y, X.
        aim : Aim
            Where the image is.
        sample : tuple of int
            Which sample.
        start : tuple of int
            Where the first pixel lies in the sample.
        most : float
            What is brightest.
        """
        shape, corner = [1] * aim.layer.ndim, [0] * aim.layer.ndim
        for axis, size, first in zip(aim.spatial, values.shape, start, strict=True):
            shape[axis], corner[axis] = size, first
        for axis, index in zip(aim.samples, sample, strict=True):
            corner[axis] = index
        if "C" in aim.names:  # seen on every channel
            channel = aim.names.index("C")
            shape[channel] = aim.layer.data.shape[channel]
        order = np.argsort(aim.spatial)
        single = [n if i in aim.spatial else 1 for i, n in enumerate(shape)]
        data = np.broadcast_to(values.transpose(order).reshape(single), shape)
        place = placement_at(aim.layer, corner)
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = Image(
                data,
                name=self._name,
                colormap=_GLOW,
                blending="translucent",
                contrast_limits=(0, most),
                **place,
            )
            add_quietly(self._viewer, self.layer)
            return
        self.layer.data = data
        self.layer.translate = place["translate"]
        self.layer.contrast_limits = (0, most)

    def remove(self) -> None:
        """Take it out of the viewer."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def placement_at(layer: Layer, corner: list[int]) -> dict[str, Any]:
    """Return where a part of a layer lies that begins at a pixel."""
    own = CompositeAffine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
        ndim=layer.ndim,
    )
    return {**placement(layer, layer.ndim), "translate": own(corner)}


def add_quietly(viewer: ViewerModel, layer: Layer) -> None:
    """Add a layer on top, but leave in the user's hand what is there."""
    active = viewer.layers.selection.active
    viewer.layers.append(layer)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
