"""An image with a mask or segmentation as one more channel, as a new layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_fcn.data.extra import add_channel, axes_with_channel
from napari_fcn.errors import UserError
from napari_fcn.widgets.reading import axes_of, pixels_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def image_with_mask(layer: Image, names: str, mask: Layer) -> Image:
    """Return a layer with the channels of an image and a mask.

    Parameters
    ----------
    layer : Image
        The image.
    names : str
        One letter per axis of it.
    mask : Labels or Image
        Of its shape without channels.

    Raises
    ------
    UserError
        If the mask does not fit.
    """
    axes = axes_of(layer, names)
    extra = mask.data[0] if getattr(mask, "multiscale", False) else mask.data
    data = add_channel(pixels_of(layer), axes, extra, mask.name)
    now = axes_with_channel(axes)
    order = now.names
    if layer.rgb:  # colours become the first axis, as napari shows channels
        order = "C" + now.names.replace("C", "")
        data = data.transpose([now.names.index(n) for n in order])
        now = now.take([now.names.index(n) for n in order])
    return Image(
        data,
        name=f"{layer.name} + {mask.name}",
        scale=now.scale,
        translate=now.translate,
        units=now.units,
        axis_labels=tuple(order.lower()),
        rgb=False,
    )


def masks_for(viewer: ViewerModel, own: tuple[Any, ...]) -> list[Layer]:
    """Return the layers that may be a mask: Labels that are not ours."""
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels) and not any(layer is other for other in own)
    ]


def add_mask_channel(
    viewer: ViewerModel, layer: Image | None, names: str, mask: Layer | None
) -> Image:
    """Add an image with a mask as one more channel to the viewer.

    Raises
    ------
    UserError
        If something is missing, or does not fit.
    """
    if layer is None or mask is None:
        raise UserError("Open an image and, as a Labels layer, its mask first.")
    both = image_with_mask(layer, names, mask)
    viewer.add_layer(both)
    return both
