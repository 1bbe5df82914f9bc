"""How the stores of live predictions are called: one for labels, else per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config import ModelConfig, Task

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


def live_numbers(config: ModelConfig) -> Sequence[int]:
    """Return the class of each density, or the place of each image."""
    if config.task == "density":
        return [c.value for c in config.classes]
    return range(len(config.regression.outputs) if config.regression else 0)
