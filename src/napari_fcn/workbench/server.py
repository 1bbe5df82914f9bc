"""The engine's process: trains, predicts and exports what the window asks for.

One thread does all of it. Between two training steps, two tiles or two planes it looks
into the pipe, so every command is honoured within one of those.
"""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage, find_values, samples_in
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.predict import run_network
from napari_fcn.engine.train import Budget, CancelToken, train
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.snapshots import keep_snapshot
from napari_fcn.workbench import protocol
from napari_fcn.workbench.background import run_apply, run_export
from napari_fcn.workbench.insight import Insight
from napari_fcn.workbench.live import LiveNetwork, LiveView
from napari_fcn.workbench.questions import Describe, SeeField, TryFrame
from napari_fcn.workbench.suggest import run_suggest

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

    from napari_fcn.config import ClassInfo
    from napari_fcn.engine.device import Compute
    from napari_fcn.engine.events import Event as TrainingEvent

_CHECKPOINT_EVERY = 10.0
_SNAPSHOT_EVERY = 60.0
_TELL_EVERY = 0.1
_IDLE_WAIT = 0.5


class Server:
    """Serves one window until it hangs up.

    Parameters
    ----------
    connection : Connection
        The pipe to the window.
    """

    def __init__(self, connection: Connection) -> None:
        self._pipe = connection
        self._live = LiveView(self._send)
        self._insight = Insight(self._send, self._network)
        self._run: _Run | None = None
        self._model: Model | None = None
        self._job: CancelToken | None = None
        self._waiting: list[protocol.Command] = []
        self._compute = choose_compute()
        self._closing = False
        self._told = 0.0
        self._handlers: dict[type, Callable[[Any], None]] = {
            protocol.Train: self._on_train,
            protocol.Pause: self._on_pause,
            protocol.Resume: self._on_resume,
            protocol.Stop: self._on_stop,
            protocol.Look: self._live.look,
            protocol.LookAway: lambda _: self._live.look(None),
            protocol.UseModel: self._on_use_model,
            protocol.Painted: self._on_painted,
            protocol.Apply: self._on_job,
            protocol.Export: self._on_job,
            protocol.Suggest: self._on_job,
            protocol.CancelJob: self._on_cancel_job,
            Describe: self._insight.describe,
            SeeField: self._insight.see_field,
            TryFrame: self._insight.try_frame,
            protocol.Shutdown: self._on_shutdown,
        }

    def serve(self) -> None:
        """Do what is asked until told to shut down or the window is gone."""
        while not self._closing:
            worked = self._show()
            self._pump(0.0 if worked or self._waiting else _IDLE_WAIT)
            if self._waiting and not self._closing:
                self._start(self._waiting.pop(0))

    def _send(self, event: protocol.Event) -> None:
        try:
            self._pipe.send(event)
        except OSError as error:
            raise SystemExit(0) from error

    def _pump(self, wait: float = 0.0) -> None:
        """Take all commands from the pipe; wait for the first one."""
        try:
            while self._pipe.poll(wait):
                command = self._pipe.recv()
                self._handlers[type(command)](command)
                wait = 0.0
        except (EOFError, OSError) as error:
            self._hang_up(error)

    def _hang_up(self, error: Exception) -> NoReturn:
        """End with the window, but keep what was learned."""
        if self._run is not None:
            self._run.keep()
        raise SystemExit(0) from error

    def _start(self, command: protocol.Command) -> None:
        if isinstance(command, protocol.Train):
            self._train(command)
        else:
            self._do_job(command)

    def _on_train(self, command: protocol.Train) -> None:
        if self._run is None:
            self._waiting.append(command)

    def _on_pause(self, _: protocol.Pause) -> None:
        if self._run is not None and not self._run.paused:
            self._run.paused = True
            self._send(protocol.Paused())

    def _on_resume(self, _: protocol.Resume) -> None:
        if self._run is not None and self._run.paused:
            self._run.paused = False
            self._send(protocol.Resumed())

    def _on_stop(self, _: protocol.Stop) -> None:
        if self._run is not None:
            self._run.stop()
        for command in self._waiting:
            if isinstance(command, protocol.Train):
                self._waiting.remove(command)
                self._send(Finished("stopped"))

    def _on_use_model(self, command: protocol.UseModel) -> None:
        try:
            self._model = load_model(command.path)
        except UserError as error:
            self._send(Message(str(error)))
        self._live.restart()

    def _on_painted(self, command: protocol.Painted) -> None:
        if self._run is not None:
            self._run.painted.append(command)

    def _on_job(
        self, command: protocol.Apply | protocol.Export | protocol.Suggest
    ) -> None:
        self._waiting.append(command)

    def _on_cancel_job(self, _: protocol.CancelJob) -> None:
        if self._job is not None:
            self._job.cancel()

    def _on_shutdown(self, _: protocol.Shutdown) -> None:
        self._closing = True
        self._on_stop(protocol.Stop())
        self._on_cancel_job(protocol.CancelJob())

    def _train(self, command: protocol.Train) -> None:
        self._run = _Run(command, self._send, self._between_steps)
        self._live.restart()
        try:
            self._model = self._run.train() or self._model
            self._compute = self._run.compute or self._compute
        finally:
            self._run = None
            self._live.restart()

    def _between_steps(self) -> None:
        """Serve the window between two steps; while paused, do nothing else."""
        run = self._run
        assert run is not None
        self._pump()
        self._show()
        self._jobs_of_a_run()
        if run.paused:
            run.keep()
        while run.paused and not run.cancel.cancelled:
            run.refresh()
            worked = self._show()
            self._jobs_of_a_run()
            self._pump(0.0 if worked else _IDLE_WAIT)

    def _jobs_of_a_run(self) -> None:
        """Apply or export while a run waits."""
        while self._waiting and not self._closing:
            self._start(self._waiting.pop(0))

    def _show(self) -> bool:
        """Predict a tile of what is on the screen, with the network as it is now."""
        network = self._network()
        if network is None:
            return False
        try:
            return self._live.tick(network)
        except UserError as error:
            self._live.look(None)
            self._send(Message(str(error)))
        except (RuntimeError, MemoryError, OSError) as error:
            self._live.look(None)
            self._send(Message(f"The picture could not be predicted ({error})."))
        return False

    def _network(self) -> LiveNetwork | None:
        if self._run is not None and self._run.trainer is not None:
            return self._run.network()
        if self._model is None:
            return None
        steps = int(self._model.config.training.get("steps", 0))
        return LiveNetwork(self._model, self._compute, steps, learning=False)

    def _do_job(self, command: protocol.Command) -> None:
        self._job = CancelToken()
        try:
            if isinstance(command, protocol.Apply):
                run_apply(command, self._job, self._report, self._best_model)
            elif isinstance(command, protocol.Export):
                run_export(command, self._job, self._report)
            elif isinstance(command, protocol.Suggest):
                run_suggest(command, self._network(), self._send, self._pump)
        finally:
            self._job = None

    def _report(self, event: protocol.JobProgress | protocol.JobFinished) -> None:
        now = time.monotonic()
        ended = isinstance(event, protocol.JobFinished)
        if ended or now - self._told >= _TELL_EVERY:
            self._told = now
            self._send(event)
        self._pump()

    def _best_model(self, command: protocol.Apply) -> Model:
        """Return the model to apply: the one asked for, or the best there is."""
        if command.model is not None:
            return load_model(command.model)
        if self._run is not None and self._run.trainer is not None:
            return self._run.trainer.best_model()
        if self._model is None:
            raise UserError("Nothing is trained yet; train first or choose a model.")
        return self._model


def warm_up() -> str:
    """Do one training step and one prediction, which makes the first real ones fast.

    Returns
    -------
    str
        Where the engine computes, in plain words.
    """
    random = np.random.default_rng(0)
    image = random.random((512, 512), np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[:64], labels[64:128] = 1, 2
    item = LabelledImage(ImageSource(image, Axes.of("YX"), 2, "warm-up"), labels)
    trainer = Trainer(
        [item], classes_from_values([1, 2]), TrainingConfig(), NetworkConfig()
    )
    trainer.step()
    padded = image[np.newaxis]
    run_network(trainer.live_model().network, padded, trainer.compute)
    return trainer.compute.describe()


class _Run:
    """One training run: kept on disk, fed with new strokes, extended by new classes."""

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
        self.paused = False
        self.painted: list[protocol.Painted] = []
        self.trainer: Trainer | None = None
        self._seconds = 0.0
        self._kept = self._told = self._pictured = time.monotonic()
        self._stopped = self._restart = False
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
        self._stopped = True
        self.cancel.cancel()

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
            learning=not self.paused,
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

    def refresh(self) -> None:
        """Take over what was painted since the last step."""
        painted, self.painted = self.painted, []
        trainer = self.trainer
        if not painted or trainer is None:
            return
        keys = [i.key for i in self._command.images]
        for command in painted:
            if command.key not in keys:
                continue
            number = keys.index(command.key)
            item = trainer.annotations.images[number]
            item.labels.reload(command.region)
            trainer.refresh(number, samples_in(item.image, command.region))
        if self._new_classes(trainer, painted, keys):
            self._restart = True
            self.cancel.cancel()

    def _train_and_grow(self) -> Model:
        """Train; when a further class is painted, go on with a wider output."""
        resume = self._command.resume
        while True:
            model = self._train_once(resume=resume)
            if self._stopped or not self._restart:
                return model
            self.keep()
            self._restart, self.cancel, resume = False, CancelToken(), True

    def _train_once(self, *, resume: bool) -> Model:
        command = self._command
        items = [
            LabelledImage(
                i.source(command.project, command.network.ndim),
                i.labels(command.project, writable=False),
                dense=i.dense,
                testing=i.testing_regions,
            )
            for i in command.images
        ]
        checkpoint = None
        if resume and command.checkpoint.is_file():
            try:
                checkpoint = load_checkpoint(command.checkpoint)
            except UserError as error:
                self._send(Message(str(error)))
        return train(
            items,
            self._painted_classes(items),
            config=command.training,
            network=command.network,
            budget=Budget(seconds=command.seconds),
            init=load_model(command.init) if command.init and not checkpoint else None,
            resume=checkpoint,
            callback=self._on_event,
            cancel=self.cancel,
        )

    def _painted_classes(self, items: list[LabelledImage]) -> tuple[ClassInfo, ...]:
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
            if command.key in keys:
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
        if isinstance(event, Started | Scored):
            self._between_steps()

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
