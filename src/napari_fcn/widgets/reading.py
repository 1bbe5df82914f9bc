"""What a napari Image layer is: its pixels, axes and file."""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from napari_fcn.data.axes import PIXEL, Axes
from napari_fcn.data.readers import open_image
from napari_fcn.errors import UserError
from napari_fcn.widgets.reader import PATH

if TYPE_CHECKING:
    from napari.layers import Image

_CHOICES = {
    2: ("YX",),
    3: ("ZYX", "TYX", "CYX"),
    4: ("TZYX", "CZYX", "ZCYX", "TCYX", "CTYX"),
    5: ("TCZYX", "TZCYX", "CTZYX", "QTZYX"),
    6: ("QTCZYX", "QTZCYX"),
}
_WORDS = {"T": "time points", "Z": "slices", "C": "channels", "Q": "positions"}
_LETTERS = set(ascii_uppercase) - {"S"}  # S would be the colours of an RGB layer
_SHORT = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "angstrom": "Å"}
_FEW = 5


def pixels_of(layer: Image) -> Any:
    """Return the full-resolution array of a layer."""
    return layer.data[0] if layer.multiscale else layer.data


def axes_choices(layer: Image) -> tuple[str, ...]:
    """Return what the axes of a layer may be, the likeliest first.

    Raises
    ------
    UserError
        If the image has more axes than can be named.
    """
    _check_ndim(layer)
    choices = [c for c in _CHOICES[layer.ndim] if not (layer.rgb and "C" in c)]
    if not choices:
        raise UserError(
            f"{layer.name} has {layer.ndim} axes and colour; choose an image with less."
        )
    named = "".join(layer.axis_labels).upper() if _are_letters(layer) else ""
    if layer.rgb and "C" in named:
        named = ""
    shape = pixels_of(layer).shape[: layer.ndim]
    likely = [c for c in choices if _is_likely(c, shape)]
    order = [*([named] if named else []), *likely, *choices]
    return tuple(dict.fromkeys(order))


def _check_ndim(layer: Image) -> None:
    if layer.ndim not in _CHOICES:
        raise UserError(
            f"{layer.name} has {layer.ndim} axes; choose an image with 2 to 6."
        )


def _are_letters(layer: Image) -> bool:
    """Tell whether the axis labels are single letters that name an image's axes."""
    text = "".join(layer.axis_labels).upper()
    return (
        all(len(label) == 1 for label in layer.axis_labels)
        and len(set(text)) == len(text)
        and set("YX") <= set(text) <= _LETTERS
    )


def _is_likely(names: str, shape: tuple[int, ...]) -> bool:
    """Take short axes for channels and long ones for anything else."""
    channel = names.find("C")
    short = [i for i, n in enumerate(shape[:-2]) if n <= _FEW]
    return channel in short if channel >= 0 else not short or len(shape) == 3


def check_names(layer: Image, names: str) -> None:
    """Refuse names that cannot be those of a layer's axes.

    Raises
    ------
    UserError
        If there is not one letter for each, Y and X among them, or if channels are
        named in a colour image, which has them anyway.
    """
    _check_ndim(layer)
    example = _CHOICES[layer.ndim][0]
    if (
        len(names) != layer.ndim
        or len(set(names)) != layer.ndim
        or not {"Y", "X"} <= set(names) <= _LETTERS
    ):
        raise UserError(
            f"Name the {layer.ndim} axes of {layer.name} with one letter each, Y and X "
            f"among them, for example {example}."
        )
    if layer.rgb and "C" in names:
        raise UserError(
            f"{layer.name} is in colour, so none of its other axes can be channels; "
            f"name its axes {example.replace('C', 'T')} or the like."
        )


def axes_of(layer: Image, names: str) -> Axes:
    """Return the axes of a layer's pixels with its scale, units and translation.

    Raises
    ------
    UserError
        If the names do not fit.
    """
    check_names(layer, names)
    extra = "S" if layer.rgb else ""
    tail = (1.0,) * len(extra)
    return Axes.of(
        names + extra,
        (*(float(s) for s in layer.scale), *tail),
        (*(str(u) for u in layer.units), *("pixel",) * len(extra)),
        (*(float(t) for t in layer.translate), *(0.0,) * len(extra)),
    )


def with_file(layer: Image, axes: Axes) -> Axes:
    """Return the axes of a layer with the scale of its file, if it has none itself.

    Napari's own reader, for one, leaves the scale of a file behind.

    Parameters
    ----------
    layer : Image
        The layer.
    axes : Axes
        What it says itself, as by `axes_of`.
    """
    path = path_of(layer)
    says = (set(axes.scale), set(axes.units), set(axes.translate))
    if path is None or says != ({1.0}, {PIXEL}, {0.0}):
        return axes
    try:
        opened = open_image(path)
    except UserError:
        return axes
    if tuple(opened.data.shape) != tuple(pixels_of(layer).shape):
        return axes
    found = opened.axes
    where = [found.names.find(letter) for letter in axes.names]
    return Axes.of(
        axes.names,
        [found.scale[i] if i >= 0 else 1.0 for i in where],
        [found.units[i] if i >= 0 else PIXEL for i in where],
        [found.translate[i] if i >= 0 else 0.0 for i in where],
    )


def path_of(layer: Image) -> Path | None:
    """Return the file that a layer was read from, if it is known."""
    mapped = getattr(pixels_of(layer), "filename", None)  # of numpy.memmap
    path = layer.metadata.get(PATH) or layer.source.path or mapped
    return Path(path) if path and Path(path).exists() else None


def describe(layer: Image, names: str, known: Axes | None = None) -> str:
    """Say in words what the axes mean, such as ``8 slices of 256 × 256 pixels``.

    Parameters
    ----------
    layer : Image
        The layer.
    names : str
        One letter per axis of it.
    known : Axes, optional
        What is known of it besides, as from its file.
    """
    shape = pixels_of(layer).shape
    sizes = dict(zip(names, shape, strict=False))
    plane = f"{sizes['X']} × {sizes['Y']} pixels"
    rest = [
        f"{n} {_WORDS.get(letter, 'positions')}"
        for letter, n in sizes.items()
        if letter not in "YX"
    ]
    if layer.rgb:
        rest.append("in colour")
    text = f"{', '.join(rest)} – {plane}" if rest else plane
    return f"{text}, {_step(layer, names, known)}"


def _step(layer: Image, names: str, known: Axes | None) -> str:
    axes = known or axes_of(layer, names)
    at = axes.names.index("X")
    unit = axes.units[at]
    if unit == PIXEL:
        return "no scale given"
    return f"{axes.scale[at]:g} {_SHORT.get(unit, unit)} per pixel"
