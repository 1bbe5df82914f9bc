"""Training as one blocking function, with a callback and a cancel token."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.engine.events import Event, Finished, Message, Started, Stepped
from napari_fcn.engine.trainer import Trainer
from napari_fcn.networks import count_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fcn.config import ClassInfo
    from napari_fcn.engine.checkpoint import Checkpoint
    from napari_fcn.engine.model import Model


class CancelToken:
    """Asks a run to stop at its next step.

    Attributes
    ----------
    cancelled : bool
        Whether `cancel` was called.
    """

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Ask the run to stop; it ends within one step."""
        self.cancelled = True


@dataclass(frozen=True)
class Budget:
    """How long to train; without any bound, until cancelled.

    Attributes
    ----------
    seconds : float, optional
        Time.
    steps : int, optional
        Training steps; on the CPU such a run can be repeated exactly.
    """

    seconds: float | None = None
    steps: int | None = None

    def progress(self, seconds: float, steps: int) -> float | None:
        """Return the share used, 0 to 1, or None without a bound."""
        shares = []
        if self.seconds is not None:
            shares.append(seconds / self.seconds)
        if self.steps is not None:
            shares.append(steps / self.steps)
        return max(shares) if shares else None


def train(
    images: Sequence[Any],
    classes: Sequence[ClassInfo],
    *,
    config: TrainingConfig | None = None,
    network: NetworkConfig | None = None,
    budget: Budget | None = None,
    init: Model | None = None,
    resume: Checkpoint | None = None,
    callback: Callable[[Event, Trainer | None], None] | None = None,
    cancel: CancelToken | None = None,
) -> Model:
    """Train a network on what was annotated.

    Parameters
    ----------
    images : sequence
        What was annotated; its kind decides the task (see `napari_fcn.engine.tasks`).
    classes : sequence of ClassInfo
        What is told apart.
    config : TrainingConfig, optional
        How to train.
    network : NetworkConfig, optional
        What to train.
    budget : Budget, optional
        How long; until cancelled by default.
    init : Model, optional
        What to start from.
    resume : Checkpoint, optional
        A run to go on with.
    callback : callable, optional
        Told each event, with the trainer once there is one. It may block (pause);
        the time it takes does not count.
    cancel : CancelToken, optional
        Stops the run.

    Returns
    -------
    Model
        The best weights so far, however the run ended.

    Raises
    ------
    UserError
        If the annotation, images or settings do not allow training. Whatever is
        raised, a `Finished` event with reason ``failed`` was sent before.
    """
    tell = callback or (lambda _event, _trainer: None)
    try:
        trainer = Trainer(
            images,
            classes,
            config or TrainingConfig(),
            network or NetworkConfig(),
            init=init,
            resume=resume,
            on_message=lambda text: tell(Message(text), None),
        )
        return _run(trainer, budget or Budget(), tell, cancel or CancelToken())
    except Exception as error:
        tell(Finished("failed", str(error)), None)
        raise


def _run(
    trainer: Trainer,
    budget: Budget,
    tell: Callable[[Event, Trainer | None], None],
    cancel: CancelToken,
) -> Model:
    live = trainer.live_model()
    tell(
        Started(
            trainer.compute.describe(),
            count_parameters(live.network),
            trainer.receptive_field.size,
        ),
        trainer,
    )
    before, seconds = trainer.step_number, 0.0
    earlier = trainer.resumed.seconds if trainer.resumed else 0.0
    last_score = 0.0
    while not cancel.cancelled:
        step = trainer.step_number - before
        progress = budget.progress(seconds, step)
        if progress is not None and progress >= 1:
            break
        start = time.perf_counter()
        loss = trainer.step(progress)
        scored = None
        seconds += time.perf_counter() - start
        if _score_is_due(trainer, budget, seconds - last_score, step + 1):
            start = time.perf_counter()
            scored = trainer.score(earlier + seconds)
            seconds += time.perf_counter() - start
            last_score = seconds
        tell(Stepped(trainer.step_number, earlier + seconds, loss), trainer)
        if scored is not None:
            tell(scored, trainer)
    tell(trainer.score(earlier + seconds), trainer)
    model = trainer.best_model(seconds=round(earlier + seconds, 1))
    tell(Finished("stopped" if cancel.cancelled else "done"), trainer)
    return model


def _score_is_due(trainer: Trainer, budget: Budget, since: float, step: int) -> bool:
    """Score by steps where steps are the budget, so that such runs repeat exactly."""
    if budget.steps is not None:
        return step % max(1, budget.steps // 10) == 0
    return since >= trainer.config.score_every
