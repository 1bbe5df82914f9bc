"""Image files as napari layers, with their axes, scale and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.data.readers import OpenedImage, open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    LayerData = tuple[Any, dict[str, Any], str]

PATH = "napari_fcn_path"
"""Key in a layer's metadata: the file it was read from."""

_KNOWN_UNITS = {
    "pixel", "angstrom", "nanometer", "micrometer", "millimeter", "centimeter",
    "meter", "inch", "millisecond", "second", "minute", "hour",
}  # fmt: skip


def get_reader(path: str | Sequence[str]) -> Callable[..., list[LayerData]] | None:
    """Return what reads a file for napari; None for several files at once."""
    return read if isinstance(path, str) else None


def read(path: str | Path) -> list[LayerData]:
    """Open an image file lazily.

    Raises
    ------
    UserError
        If it is no image or damaged.
    """
    return [layer_data(open_image(path))]


def layer_data(opened: OpenedImage) -> LayerData:
    """Return what napari makes a layer of.

    Colour (axis S last) becomes an RGB layer; other channel axes stay axes.
    """
    axes = opened.axes
    rgb = axes.names.endswith("S") and opened.data.shape[-1] in (3, 4)
    kept = axes.take(tuple(range(len(axes) - 1))) if rgb else axes
    other = "Q" if "C" in kept.names else "C"
    options = {
        "name": opened.name,
        "scale": kept.scale,
        "translate": kept.translate,
        # napari refuses units that do not exist
        "units": [u if u in _KNOWN_UNITS else "pixel" for u in kept.units],
        # what is not shown as colour are channels like others
        "axis_labels": list(kept.names.replace("S", other).lower()),
        "rgb": rgb,
        "metadata": {PATH: str(opened.path)},
    }
    return opened.data, options, "image"
