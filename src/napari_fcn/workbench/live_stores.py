"""How the stores of live predictions are called: one for labels, else per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config import Task

LIVE = "live"
"""Predicted labels of what is on the screen."""
COMPARED = ("compare-1", "compare-2")
"""Labels that two models predict, to be compared."""


def live_store(task: Task, number: int) -> str:
    """Return the name of the store of one channel of densities or images."""
    return f"{LIVE}-{task}-{number}"


def deviation_store(number: int) -> str:
    """Return the name of the store of how far one predicted image may be off."""
    return f"{LIVE}-deviation-{number}"


def whole_store(task: Task, number: int) -> str:
    """Return the name of the store of one channel of the whole image."""
    return f"whole-{task}-{number}"


def places_of(outputs: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return which output of a model is which of the images that are shown.

    Targets may have been added, removed or put in another order since it was trained.

    Parameters
    ----------
    outputs : sequence of str
        What the outputs of the model show.
    wanted : sequence of str
        What the images are called; like the outputs if there are none.

    Returns
    -------
    list of int or None
        For each image the output that is called the same; else the one in its place,
        if there are as many and it is no other image's; None where there is neither.
    """
    if not wanted or list(wanted) == list(outputs):
        return list(range(len(outputs)))
    places: list[int | None] = []
    for place, name in enumerate(wanted):
        if name in outputs:
            places.append(list(outputs).index(name))
        elif len(wanted) == len(outputs) and outputs[place] not in wanted:
            places.append(place)
        else:
            places.append(None)
    return places
