"""What the engine tells while it works: small, frozen, safe to send over a pipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MEAN_ERROR, AREAS = "MAE", "areas"
"""Details of a score of counts in areas for testing: before the name of each class its
mean absolute error, and over how many areas."""

Reason = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class Started:
    """Training begins.

    Attributes
    ----------
    device : str
        Where the network computes, in plain words.
    parameters : int
        Number of trainable parameters.
    receptive_field : tuple of int
        Its size in pixels per axis.
    """

    device: str
    parameters: int
    receptive_field: tuple[int, ...]


@dataclass(frozen=True)
class Stepped:
    """A training step is done.

    Attributes
    ----------
    step : int
        Its number, from 1.
    seconds : float
        Training time so far, pauses left out.
    loss : float
        Loss of the step.
    """

    step: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Scored:
    """The network was scored.

    Attributes
    ----------
    step : int
        After which step.
    seconds : float
        Training time so far.
    score : float
        Mean Dice coefficient of the classes.
    per_class : dict
        Dice coefficient by the name of the class.
    held_out : bool
        Whether it is on strokes that the network has never seen.
    details : dict
        Other measures of the task by their names, such as PSNR and SSIM.
    """

    step: int
    seconds: float
    score: float
    per_class: dict[str, float] = field(default_factory=dict)
    held_out: bool = True
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """One plain sentence for the user."""

    text: str


@dataclass(frozen=True)
class Finished:
    """A run has ended; sent exactly once per run.

    Attributes
    ----------
    reason : str
        ``done`` (budget used), ``stopped`` (by the user) or ``failed``.
    message : str
        What happened, and what to do if it failed.
    """

    reason: Reason
    message: str = ""


Event = Started | Stepped | Scored | Message | Finished
