"""The classes a user paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from napari_fcn.config.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

BACKGROUND = 1
"""The painted number of the background, unless the user says otherwise."""

_COLOURS = (
    "#4c72b0", "#ffb000", "#dc267f", "#00b38a", "#785ef0",
    "#fe6100", "#56b4e9", "#b8de29", "#cc79a7", "#8c613c",
)  # fmt: skip


class ClassInfo(Frozen):
    """One class of a segmentation.

    Attributes
    ----------
    value : int
        The number in the labels.
    name : str
        What the user calls it.
    colour : str
        Colour of brush and overlay as ``#rrggbb``.
    background : bool
        Whether it is the background: predicted labels show it as 0.
    """

    value: int = Field(ge=0, lt=2**63)
    name: str
    colour: str = Field(default="#888888", pattern=r"^#[0-9a-fA-F]{6}$")
    background: bool = False

    @property
    def output(self) -> int:
        """The number in predicted labels: 0 for background, else the value."""
        return 0 if self.background else self.value


def default_colour(value: int) -> str:
    """Return the default colour of a painted number, as ``#rrggbb``."""
    return _COLOURS[(value - 1) % len(_COLOURS)]


def classes_from_values(
    values: Iterable[int], *, background: int | None = BACKGROUND
) -> tuple[ClassInfo, ...]:
    """Name the classes found in labels.

    Parameters
    ----------
    values : iterable of int
        The numbers that occur as classes.
    background : int, optional
        The one that is background, if it occurs.

    Returns
    -------
    tuple of ClassInfo
        Sorted by value.
    """
    return tuple(
        ClassInfo(
            value=value,
            name="background" if value == background else f"class {value}",
            colour=default_colour(value),
            background=value == background,
        )
        for value in sorted({int(v) for v in values})
    )
