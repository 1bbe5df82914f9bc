"""Layers that show by how much predicted images may be off, hidden until wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_fcn.widgets.over_image import OverImage
from napari_fcn.widgets.placement import placement
from napari_fcn.widgets.shown_range import range_of
from napari_fcn.workbench.live_stores import deviation_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.session import Workbench


class DeviationLayers(OverImage):
    """One layer for each output, in the units of its target.

    Attributes
    ----------
    shown : dict
        Name and layer by the place of the output.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        workbench: Workbench,
        layer: Image,
        image: ProjectImage,
    ) -> None:
        super().__init__(viewer, workbench, layer, image)
        self.shown: dict[int, tuple[str, Image]] = {}
        self._limits: dict[int, list[float]] = {}

    def show(self, names: Sequence[str], above: Sequence[Layer]) -> None:
        """Have a layer for each of these outputs, and no other.

        Parameters
        ----------
        names : sequence of str
            What the outputs show; none takes all layers away.
        above : sequence of Layer
            The predictions, which new layers lie above.
        """
        wanted = dict(enumerate(names))
        for number, (name, layer) in list(self.shown.items()):
            if wanted.get(number) != name:
                del self.shown[number]
                self._limits.pop(number, None)
                self._remove(layer)
        for number, name in wanted.items():
            if number not in self.shown:
                self.shown[number] = (name, self._add(number, name, above))

    def refresh(self) -> None:
        """Draw what is visible anew, in colours that reach from 0 to its largest."""
        for number, (_, layer) in self.shown.items():
            if layer.visible and layer in self.viewer.layers:
                self._scale(number, layer)
                layer.refresh(thumbnail=False, extent=False, highlight=False)

    def all(self) -> list[Layer]:
        """Return all layers that are there."""
        return [layer for _, layer in self.shown.values()]

    def forget(self, layer: Layer) -> bool:
        """Forget a layer that the user has deleted; tell whether it was one of these.

        What it showed stays on disk.
        """
        for number, (_, mine) in self.shown.items():
            if mine is layer:
                del self.shown[number]
                self._limits.pop(number, None)
                return True
        return False

    def _add(self, number: int, name: str, above: Sequence[Layer]) -> Image:
        data = self._aligned(
            self.workbench.prediction(self.image.key, deviation_store(number))
        )
        layer = Image(
            data,
            name=self._title(f"deviation of {name}"),
            colormap="magma",
            contrast_limits=(0, 1),
            visible=False,
            **placement(self.layer, data.ndim),
        )
        layer.events.visible.connect(lambda _: self.refresh())
        layers = self.viewer.layers
        place = max(layers.index(x) for x in (self.layer, *above) if x in layers)
        layers.insert(place + 1, layer)
        return layer

    def _scale(self, number: int, layer: Image) -> None:
        """Follow what is shown, until the user chooses another range."""
        mine = self._limits.get(number)
        if mine is not None and list(layer.contrast_limits) != mine:
            return
        found = range_of(np.asarray(layer._data_view, np.float32))
        if found is not None:
            layer.contrast_limits = (0, found[1])
            self._limits[number] = list(layer.contrast_limits)
