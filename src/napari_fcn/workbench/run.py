"""One training run of the engine: on disk, fed with new strokes, growing classes."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.config import BLIND_SPOT
from napari_fcn.data.annotations import find_values, samples_in
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.tasks import Density, Regression
from napari_fcn.engine.train import Budget, CancelToken, train
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.snapshots import keep_snapshot
from napari_fcn.project.targets import read_targets
from napari_fcn.workbench import protocol
from napari_fcn.workbench.items import dotted_classes, has_something, item_of
from napari_fcn.workbench.live import LiveNetwork

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from napari_fcn.config import ClassInfo, CountError, ModelConfig
    from napari_fcn.engine.device import Compute
    from napari_fcn.engine.events import Event as TrainingEvent
    from napari_fcn.engine.trainer import Trainer
    from napari_fcn.project import ProjectImage

_CHECKPOINT_EVERY = 10.0
_SNAPSHOT_EVERY = 60.0
_TELL_EVERY = 0.1


def calibration(
    config: ModelConfig, error: CountError | None = None
) -> protocol.Calibrated:
    """Return what a density model says of its counts, or a newer measurement."""
    density = config.density
    assert density is not None
    widths = {c.value: w for c, w in zip(config.classes, density.widths, strict=True)}
    return protocol.Calibrated(error or density.error, widths)


class Run:
    """One training run: kept on disk, fed with new strokes, extended by new classes.

    Parameters
    ----------
    command : Train
        What is trained.
    send : callable
        Tells the window what happens.
    between_steps : callable
        Called after each step, to serve the window.

    Attributes
    ----------
    cancel : CancelToken
        Ends the training that goes on now.
    paused : bool
        Whether it waits.
    stopped : bool
        Whether it ends at the next step.
    painted : list of Painted or Annotated
        What is to be taken over before the next step.
    trainer : Trainer, optional
        Once it trains.
    """

    def __init__(
        self,
        command: protocol.Train,
        send: Callable[[protocol.Event], None],
        between_steps: Callable[[], None],
    ) -> None:
        self._command = command
        self._send = send
        self._between_steps = between_steps
        self.cancel = CancelToken()
        self.paused = self.stopped = False
        self.painted: list[protocol.Painted | protocol.Annotated] = []
        self.trainer: Trainer | None = None
        self._seconds = 0.0
        self._kept = self._told = self._pictured = time.monotonic()
        self._restart = False
        self._finished: Finished | None = None

    def train(self) -> Model | None:
        """Train until done or stopped; exactly one `Finished` is sent.

        Returns
        -------
        Model, optional
            The best so far; None if the run failed before its first step.
        """
        model = None
        try:
            model = self._train_and_grow()
        except UserError as error:
            self._finished = Finished("failed", str(error))
        except Exception as error:  # noqa: BLE001 - no run may end the engine
            traceback.print_exc()
            self._finished = Finished("failed", f"Training failed ({error}).")
        if model is None and self.trainer is not None:
            model = self.trainer.best_model()
        self._save(model)
        self._send(self._finished or Finished("stopped"))
        return model

    def stop(self) -> None:
        """End at the next step."""
        self.stopped = True
        self.cancel.cancel()

    @property
    def rests(self) -> bool:
        """Whether it takes no steps: it was told to wait, or has learned all."""
        return self.paused or (self.trainer is not None and self.trainer.settled)

    @property
    def compute(self) -> Compute | None:
        """Where it trains, once it does."""
        return self.trainer.compute if self.trainer is not None else None

    def network(self) -> LiveNetwork:
        """Return the network as it is now."""
        assert self.trainer is not None
        return LiveNetwork(
            self.trainer.live_model(),
            self.trainer.compute,
            self.trainer.step_number,
            learning=not self.rests,
            current=self.trainer.current_network,
        )

    def keep(self) -> None:
        """Write the checkpoint; a full disk is told, and no end."""
        self._kept = time.monotonic()
        if self.trainer is None:
            return
        try:
            self.trainer.checkpoint(self._seconds).save(self._command.checkpoint)
        except UserError as error:
            self._send(Message(str(error)))

    def come_to_rest(self) -> None:
        """Keep what was learned before no steps are taken, and tell how good it is."""
        if self.trainer is None or not self.trainer.settled:
            self.keep()
        else:
            self._pictured = time.monotonic()
            self._tell_score(self.trainer)
            self._save(self.trainer.best_model())
            self._send(protocol.Rested())
        self.refresh()

    def _tell_score(self, trainer: Trainer) -> None:
        """Score between steps."""
        self._send(trainer.score(self._seconds))

    def refresh(self) -> None:
        """Take over what was annotated since the last step."""
        trainer, command = self.trainer, self._command
        if not self.painted or trainer is None or self._restart:
            return
        painted, self.painted = self.painted, []
        keys = [i.key for i in command.images]
        strokes = [p for p in painted if isinstance(p, protocol.Painted)]
        others = [p for p in painted if isinstance(p, protocol.Annotated)]
        segments = command.task == "segmentation"
        named = {p.key for p in (strokes if segments else others)}
        for key in named - set(keys):
            self.note(Project.open(command.project).image(key))
        if self._restart:
            return
        if segments:  # without what was left out above
            self._reload(trainer, [s for s in strokes if s.key in keys], keys)
        else:
            self._replace(trainer, [keys.index(k) for k in keys if k in named])

    def _reload(
        self, trainer: Trainer, strokes: list[protocol.Painted], keys: list[str]
    ) -> None:
        """Take over strokes on images that are learned from, all at once."""
        if not strokes:
            return
        changed: dict[int, set[tuple[int, ...]]] = {}
        for command in strokes:
            number = keys.index(command.key)
            item = trainer.annotations.images[number]
            item.labels.reload(command.region)
            changed.setdefault(number, set()).update(
                samples_in(item.image, command.region)
            )
        trainer.refresh(changed)
        if trainer.settled:  # what is for testing only is not learned, but it scores
            self._tell_score(trainer)
        if self._new_classes(trainer, strokes, keys):
            self._begin_again()

    def _begin_again(self) -> None:
        """Go on from here with other classes, outputs or images."""
        self._restart = True
        self.cancel.cancel()

    def _replace(self, trainer: Trainer, numbers: list[int]) -> None:
        """Take over the dots, areas and counts of images."""
        task = trainer.task
        for number in numbers:
            item = self._item(self._command.images[number])
            if isinstance(task, Density | Regression):
                task.replace(number, item)
            trainer.forget_scores()
        if numbers and isinstance(task, Density):
            found = dotted_classes(task.images, self._command.classes)
            if {c.value for c in found} - {c.value for c in task.config.classes}:
                self._begin_again()

    def _item(self, image: ProjectImage) -> Any:
        """Open an image with what is learned from."""
        command = self._command
        return item_of(
            command.project,
            image,
            command.network.ndim,
            command.task,
            blind=command.training.loss == BLIND_SPOT,
        )

    def note(self, image: ProjectImage) -> None:
        """Learn from an image as it is now, be it new or partly for testing.

        A new one without anything to learn from is left out.
        """
        others = [i for i in self._command.images if i.key != image.key]
        new = len(others) == len(self._command.images)
        if image in self._command.images or (new and not self._teaches(image)):
            return
        self._command = replace(self._command, images=(*others, image))
        self._begin_again()

    def _teaches(self, image: ProjectImage) -> bool:
        command = self._command
        if command.task == "segmentation":
            return bool(image.labels(command.project, writable=False).painted_chunks())
        targets = read_targets(command.project, image.key)
        blind = command.training.loss == BLIND_SPOT
        return has_something(targets, command.task, blind=blind)

    def _train_and_grow(self) -> Model:
        """Train; when a class or an image is added, go on with it from there."""
        resume = self._command.resume
        while True:
            model = self._train_once(resume=resume)
            if self.stopped or not self._restart:
                return model
            self.keep()
            self._restart, self.cancel, resume = False, CancelToken(), True

    def _train_once(self, *, resume: bool) -> Model:
        command = self._command
        items = [self._item(i) for i in command.images]
        checkpoint = None
        if resume and command.checkpoint.is_file():
            try:
                checkpoint = load_checkpoint(command.checkpoint)
            except UserError as error:
                self._send(Message(str(error)))
        return train(
            items,
            self._learned_classes(items),
            config=command.training,
            network=command.network,
            budget=Budget(seconds=command.seconds),
            init=load_model(command.init) if command.init and not checkpoint else None,
            resume=checkpoint,
            callback=self._on_event,
            cancel=self.cancel,
        )

    def _learned_classes(self, items: list[Any]) -> tuple[ClassInfo, ...]:
        if self._command.task == "regression":
            return ()
        if self._command.task == "density":
            return dotted_classes(items, self._command.classes)
        values = find_values(items)
        learned = tuple(c for c in self._command.classes if c.value in values)
        missing = [c.name for c in self._command.classes if c.value not in values]
        if missing and len(learned) > 1:
            self._send(
                Message(
                    f"Nothing is painted as {' or '.join(missing)} yet; it is learned "
                    "as soon as you paint it."
                )
            )
        return learned

    def _new_classes(
        self, trainer: Trainer, painted: list[protocol.Painted], keys: list[str]
    ) -> bool:
        """Tell whether a listed class was painted that the network does not know."""
        known = {c.value for c in trainer.model_config.classes}
        wanted = {c.value for c in self._command.classes} - known
        if not wanted:
            return False
        values: set[int] = set()
        for command in painted:
            labels = trainer.annotations.images[keys.index(command.key)].labels
            values |= {int(v) for v in np.unique(labels[command.region])}
        return bool(wanted & values)

    def _on_event(self, event: TrainingEvent, trainer: Trainer | None) -> None:
        if trainer is not None:
            self.trainer = trainer
        if isinstance(event, Finished):
            self._finished = event
        elif isinstance(event, Stepped):
            self._seconds = event.seconds
            self._after_step(event)
        else:
            self._send(event)
        if isinstance(event, Scored) and self.trainer is not None:
            self._tell_error(self.trainer)
        if isinstance(event, Started | Scored):
            self._between_steps()

    def _tell_error(self, trainer: Trainer) -> None:
        task = trainer.task
        if isinstance(task, Density) and task.error is not None:
            self._send(calibration(task.config, task.error))

    def _after_step(self, event: Stepped) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._send(event)
        if now - self._kept >= _CHECKPOINT_EVERY:
            self.keep()
        if now - self._pictured >= _SNAPSHOT_EVERY and self.trainer is not None:
            self._pictured = now
            self._save(self.trainer.best_model())
        self._between_steps()
        self.refresh()

    def _save(self, model: Model | None) -> None:
        if model is None:
            return
        self.keep()
        with suppress(UserError):
            model.save(self._command.model)
            keep_snapshot(Project.open(self._command.project))
