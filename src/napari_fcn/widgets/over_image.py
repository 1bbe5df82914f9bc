"""What layers that lie over an image of a project have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.widgets.broadcast import ChannelBroadcast
from napari_fcn.widgets.placement import follow

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.session import Workbench


class OverImage:
    """Layers that go where the image goes, and are called after it.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    workbench : Workbench
        Whose project holds the image.
    layer : Image
        The user's layer that shows the image.
    image : ProjectImage
        The image.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        workbench: Workbench,
        layer: Image,
        image: ProjectImage,
    ) -> None:
        self.viewer, self.workbench = viewer, workbench
        self.layer, self.image = layer, image

    @property
    def skip(self) -> int | None:
        """Where a channel axis must be shown that the labels do not have."""
        channel = None if self.layer.rgb else self.image.axes.axes().channel
        return channel if channel else None  # a leading one aligns by itself

    def all(self) -> list[Layer]:
        """Return all layers that are there."""
        raise NotImplementedError

    def follow(self, image: ProjectImage) -> None:
        """Go where the user's layer has gone, and take its new name on."""
        before, self.image = self.image.name, image
        for layer in self.all():
            follow(layer, self.layer)
            if image.name != before and layer.name.startswith(f"{before} – "):
                layer.name = layer.name.replace(before, image.name, 1)

    def _title(self, name: str) -> str:
        return f"{self.image.name} – {name}"

    def _aligned(self, store: Any) -> Any:
        """Return what a store of the labels' shape shows, with the axes of a layer."""
        if self.skip is None:
            return store
        return ChannelBroadcast(store, self.skip, self.image.shape[self.skip])

    def _remove(self, layer: Layer) -> None:
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
