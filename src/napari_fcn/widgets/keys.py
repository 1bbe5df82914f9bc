"""Keys: a digit picks a class, H shows and hides the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Labels

    Bindings = list[tuple[Any, str]]


def bind_keys(
    viewer: ViewerModel,
    layer: Labels,
    pick: Callable[[int], None],
    toggle: Callable[[], None],
    fade: Callable[[int], None],
) -> Bindings:
    """Bind the keys.

    Digits are bound on the strokes layer only, where they come before those of napari;
    its tools keep their letters (E erase, P paint, F fill, L pick, Z move).

    Returns
    -------
    list of (object, str)
        What was bound, for `unbind_keys`.
    """
    bound: Bindings = []
    for digit in range(10):
        layer.bind_key(str(digit), lambda _, n=digit: pick(n), overwrite=True)
        bound.append((layer, str(digit)))
    for key, action in (
        ("H", lambda _: toggle()),
        ("Shift-Up", lambda _: fade(1)),
        ("Shift-Down", lambda _: fade(-1)),
    ):
        viewer.bind_key(key, action, overwrite=True)
        bound.append((viewer, key))
    return bound


def unbind_keys(bound: Bindings) -> None:
    """Undo `bind_keys`."""
    for owner, key in bound:
        owner.bind_key(key, None)
