"""What a workbench is doing, as a frozen snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RunState = Literal["ready", "training", "paused", "stopping", "dead"]
Job = Literal["", "apply", "export", "copy"]


@dataclass(frozen=True)
class Status:
    """What the workbench is doing, as a snapshot.

    Attributes
    ----------
    state : str
        Of the run.
    warm : bool
        Whether the engine has started.
    device : str
        Where it computes, in plain words; empty until known.
    step : int
        Training steps done.
    seconds : float
        Training time.
    speed : float
        Steps per second.
    resting : bool
        Whether all that is annotated is learned, and it waits for more.
    score : float, optional
        Mean Dice coefficient of the classes.
    held_out : bool
        Whether the score is on strokes that the network has never seen.
    details : dict
        Other measures of the score, as in `Scored`.
    job : str
        ``apply``, ``export``, ``copy`` or empty.
    share : float
        How far the job is, 0 to 1.
    """

    state: RunState = "ready"
    warm: bool = False
    device: str = ""
    step: int = 0
    seconds: float = 0.0
    speed: float = 0.0
    resting: bool = False
    score: float | None = None
    held_out: bool = True
    details: dict[str, float] = field(default_factory=dict)
    job: Job = ""
    share: float = 0.0
