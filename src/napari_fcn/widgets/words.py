"""What the window says about the state of things, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.engine.events import AREAS, MEAN_ERROR

if TYPE_CHECKING:
    from napari_fcn.workbench.status import Status

_BUTTON = {
    "ready": "Train",
    "training": "Pause",
    "paused": "Go on",
    "stopping": "Stopping…",
    "dead": "Restart and go on",
}
_JOBS = {
    "copy": "Copying the image into the project",
    "apply": "Predicting the whole image",
    "export": "Saving",
}


def button_text(status: Status) -> str:
    """Return what the big button does now."""
    if status.state == "ready" and status.step:
        return "Train on"
    return _BUTTON[status.state]


def state_text(status: Status) -> str:
    """Return one line on what the engine does, where and how fast."""
    device = status.device.partition(" in ")[0]  # how precisely is in the tooltip
    where = f" on the {device}" if device else ""
    if status.job:
        return f"{_JOBS[status.job]}: {status.share:.0%}"
    if status.state == "dead":
        return "The engine has stopped."
    if not status.warm:
        return "The engine is starting…"
    if status.state == "training" and status.resting:
        return f"Learned what is painted – step {status.step}, {_time(status.seconds)}"
    if status.state in ("training", "stopping"):
        speed = f", {status.speed:.1f} steps/s" if status.speed else ""
        return f"Learning{where} – step {status.step}, {_time(status.seconds)}{speed}"
    if status.state == "paused":
        return f"Paused after step {status.step}, {_time(status.seconds)}."
    if status.step:
        return f"Ready. Learned {status.step} steps in {_time(status.seconds)}."
    return f"Ready to learn{where}."


def score_text(status: Status, task: str = "segmentation") -> str:
    """Return one line on how good it is."""
    if status.score is None:
        return ""
    if task == "density" and AREAS in status.details:
        return _test_text(status.score, status.details)
    if task == "density":
        on = "areas it has never seen" if status.held_out else "what it has learned"
        return f"Counts on {on} are right to {status.score:.0%}"
    if task == "regression":
        on = "areas it has never seen" if status.held_out else "what it has learned"
        return f"Correlation on {on}: {status.score:.3f} (1 is perfect)"
    on = "strokes it has never seen" if status.held_out else "the strokes it learned"
    return f"Score on {on}: {status.score:.2f} (1 is perfect)"


def _test_text(score: float, details: dict[str, float]) -> str:
    """Say how far counts of areas for testing are off, for each class."""
    start = f"{MEAN_ERROR} "
    errors = {k[len(start) :]: v for k, v in details.items() if k.startswith(start)}
    named = [f"{v:.1f}" + (f" ({k})" * (len(errors) > 1)) for k, v in errors.items()]
    n = round(details[AREAS])
    areas = f"{n} areas" if n > 1 else "the area"
    return (
        f"In {areas} for testing, counts are off by {', '.join(named)} on average; "
        f"right to {score:.0%}"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
