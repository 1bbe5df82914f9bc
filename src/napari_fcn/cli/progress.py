"""What long work tells on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.console import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fcn.engine.events import Event
    from napari_fcn.engine.trainer import Trainer

_SCORES = {
    "segmentation": ("Dice", "strokes"),
    "density": ("Share counted right", "regions"),
    "regression": ("Correlation", "regions"),
}


def tell(event: Event, trainer: Trainer | None) -> None:
    """Write progress to standard error."""
    from napari_fcn.engine.events import Message, Scored, Started

    task = trainer.task.config.task if trainer is not None else "segmentation"

    if isinstance(event, Started):
        note(f"Training {event.parameters:,} weights on {event.device}.")
    elif isinstance(event, Message):
        note(event.text)
    elif isinstance(event, Scored):
        where = "held-out" if event.held_out else "trained"
        what, of = _SCORES[task]
        note(
            f"{event.seconds:6.1f} s  step {event.step:5d}  "
            f"{what} on {where} {of} {event.score:.3f}"
        )


def progress_of(name: str) -> Callable[[Any], None]:
    """Return what tells each tenth of the prediction of an image."""
    last = -1

    def report(progress: Any) -> None:
        nonlocal last
        if progress.message:
            note(progress.message)
        tenth = 10 * progress.done // progress.total
        if tenth > last:
            last = tenth
            note(f"{name}: {10 * tenth} %")

    return report
