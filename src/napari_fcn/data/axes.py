"""What the axes of an image mean, and how large a step along each of them is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

SPATIAL = "ZYX"
CHANNELS = "CS"  # S is what tifffile calls the samples of an RGB pixel
PIXEL = "pixel"

_BY_NDIM = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX", 6: "QTCZYX"}
_RGB_BY_NDIM = {3: "YXS", 4: "ZYXS", 5: "TZYXS", 6: "QTZYXS"}

# Spellings found in files, all lower case, and the names OME-Zarr uses for them.
_UNITS = {
    "": PIXEL,
    "none": PIXEL,
    "px": PIXEL,
    "pixels": PIXEL,
    "µm": "micrometer",  # micro sign
    "μm": "micrometer",  # Greek mu
    "\\u00b5m": "micrometer",  # as ImageJ writes it, six characters
    "um": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "micrometers": "micrometer",
    "nm": "nanometer",
    "nanometre": "nanometer",
    "å": "angstrom",
    "mm": "millimeter",
    "millimetre": "millimeter",
    "cm": "centimeter",
    "centimetre": "centimeter",
    "m": "meter",
    "metre": "meter",
    "in": "inch",
    "ms": "millisecond",
    "s": "second",
    "sec": "second",
    "seconds": "second",
    "min": "minute",
    "h": "hour",
}


def unit_name(unit: str | None) -> str:
    """Return the usual long name of a unit as found in a file or a viewer.

    Parameters
    ----------
    unit : str, optional
        For example ``"µm"``, ``"micron"`` or ``None``.

    Returns
    -------
    str
        For example ``"micrometer"`` or ``"pixel"``; unknown units stay as they are.
    """
    text = "" if unit is None else str(unit).strip()
    return _UNITS.get(text.lower(), text)


@dataclass(frozen=True)
class Axes:
    """One letter, step, unit and origin per array axis.

    Attributes
    ----------
    names : str
        One upper-case letter per array axis: Z, Y, X are spatial, C or S the
        channels, every other letter (T, Q, ...) counts samples.
    scale : tuple of float
        Size of one step.
    units : tuple of str
        Unit of ``scale`` and ``translate``.
    translate : tuple of float
        Where the first pixel lies.

    Raises
    ------
    UserError
        When letters repeat, or lengths or numbers make no sense.
    """

    names: str
    scale: tuple[float, ...]
    units: tuple[str, ...]
    translate: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what no array could have."""
        _check_names(self.names)
        for what in (self.scale, self.units, self.translate):
            if len(what) != len(self.names):
                raise UserError(
                    f"The axes {self.names} need {len(self.names)} values each for "
                    f"scale, units and translate, but {len(what)} were given."
                )
        if not all(math.isfinite(s) and s != 0 for s in self.scale):
            raise UserError(
                f"The scale {self.scale} must consist of finite numbers other than 0."
            )
        if not all(math.isfinite(t) for t in self.translate):
            raise UserError(f"The translation {self.translate} must be finite numbers.")

    @classmethod
    def of(
        cls,
        names: str,
        scale: Sequence[float] | None = None,
        units: Sequence[str | None] | str | None = None,
        translate: Sequence[float] | None = None,
    ) -> Axes:
        """Build axes with scale 1, unit pixel and origin 0 where nothing is given.

        Parameters
        ----------
        names : str
            One letter per array axis, in either case.
        scale, translate : sequence of float, optional
            One number per axis.
        units : sequence of str or str, optional
            One unit per axis, or one for all; spellings are unified.

        Raises
        ------
        UserError
            When they do not fit together.
        """
        n = len(names)
        if units is None or isinstance(units, str):
            units = (units,) * n
        return cls(
            names.upper(),
            tuple(float(s) for s in scale) if scale is not None else (1.0,) * n,
            tuple(unit_name(u) for u in units),
            tuple(float(t) for t in translate) if translate is not None else (0.0,) * n,
        )

    def __len__(self) -> int:
        """Return the number of axes."""
        return len(self.names)

    def spatial(self, ndim: int) -> tuple[int, ...]:
        """Return the positions of the last ``ndim`` of Z, Y, X, in that order.

        Raises
        ------
        UserError
            When one of them is missing.
        """
        if ndim not in (2, 3):
            raise UserError(f"Images have 2 or 3 spatial axes, not {ndim}.")
        wanted = SPATIAL[-ndim:]
        missing = [letter for letter in wanted if letter not in self.names]
        if missing:
            raise UserError(
                f"A {ndim}D network needs the axes {wanted}, but this image has "
                f"{self.names}: name its axes (for example --axes {wanted})"
                f"{' or use a 2D network' if ndim == 3 else ''}."
            )
        return tuple(self.names.index(letter) for letter in wanted)

    @property
    def channel(self) -> int | None:
        """Position of the channel axis (C before S), None without one."""
        for letter in CHANNELS:
            if letter in self.names:
                return self.names.index(letter)
        return None

    def samples(self, ndim: int) -> tuple[int, ...]:
        """Return the positions of all axes that are neither spatial nor channel.

        Z is one of them when ``ndim`` is 2.

        Raises
        ------
        UserError
            When a spatial axis is missing.
        """
        taken = {*self.spatial(ndim), self.channel}
        return tuple(i for i in range(len(self)) if i not in taken)

    def drop(self, axis: str | int) -> Axes:
        """Return the axes without one, given by letter or position.

        Raises
        ------
        UserError
            When there is no such axis.
        """
        position = self.names.find(axis.upper()) if isinstance(axis, str) else axis
        if axis == "" or not 0 <= position < len(self):
            raise UserError(f"There is no axis {axis} among {self.names}.")
        return self.take(tuple(i for i in range(len(self)) if i != position))

    def with_channels(self) -> Axes:
        """Return the axes with one of channels before them."""
        return Axes(
            "C" + self.names,
            (1.0, *self.scale),
            (PIXEL, *self.units),
            (0.0, *self.translate),
        )

    def take(self, positions: Sequence[int]) -> Axes:
        """Return the axes at these positions, in this order."""
        return Axes(
            "".join(self.names[i] for i in positions),
            tuple(self.scale[i] for i in positions),
            tuple(self.units[i] for i in positions),
            tuple(self.translate[i] for i in positions),
        )


def _check_names(names: str) -> None:
    if not names:
        raise UserError("An image needs at least one axis.")
    if not (names.isascii() and names.isalpha() and names.isupper()):
        raise UserError(
            f"Axes are named by one letter each, for example TZYX, but got {names!r}."
        )
    if len(set(names)) != len(names):
        raise UserError(f"Every axis needs a letter of its own, but got {names}.")


def validate_axes(names: str, shape: Sequence[int]) -> str:
    """Check that axis names fit an array and return them in upper case.

    Parameters
    ----------
    names : str
        One letter per axis.
    shape : sequence of int
        Shape of the array.

    Raises
    ------
    UserError
        When the number of letters differs or letters repeat.
    """
    names = names.upper()
    _check_names(names)
    if len(names) != len(shape):
        raise UserError(
            f"The axes {names} name {len(names)} axes, but the image has "
            f"{len(shape)} (shape {tuple(shape)}): give one letter for each."
        )
    return names


def default_axes(shape: Sequence[int]) -> str:
    """Guess the axes of an array that comes without metadata.

    A last axis of 3 or 4 behind two larger ones is taken for RGB or RGBA.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.

    Returns
    -------
    str
        For example ``"ZYX"`` or ``"YXS"``.

    Raises
    ------
    UserError
        For fewer than 2 or more than 6 dimensions.
    """
    ndim = len(shape)
    if ndim >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > shape[-1]:
        guess = _RGB_BY_NDIM.get(ndim)
    else:
        guess = _BY_NDIM.get(ndim)
    if guess is None:
        raise UserError(
            f"Cannot guess the axes of an array of shape {tuple(shape)}: an image "
            f"has 2 to 6 axes, or name them yourself."
        )
    return guess
