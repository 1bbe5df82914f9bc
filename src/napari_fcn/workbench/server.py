"""The engine's process: trains, predicts and exports what the window asks for.

One thread does all of it. Between two training steps, two tiles or two planes it looks
into the pipe, so every command is honoured within one of those.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

from napari_fcn.engine.checkpoint import latest_model
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.events import Finished, Message
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.train import CancelToken
from napari_fcn.errors import UserError
from napari_fcn.workbench import protocol
from napari_fcn.workbench.background import run_apply, run_export
from napari_fcn.workbench.compare import run_compare
from napari_fcn.workbench.insight import Insight
from napari_fcn.workbench.live import LiveNetwork, LiveView
from napari_fcn.workbench.outputs import written_to
from napari_fcn.workbench.questions import Describe, SeeField, TryFrame
from napari_fcn.workbench.run import Run, calibration
from napari_fcn.workbench.suggest import run_suggest

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

_Kind = TypeVar("_Kind")

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
        self._run: Run | None = None
        self._model: Model | None = None
        self._job: CancelToken | None = None
        self._waiting: list[protocol.Command] = []
        self._compute = choose_compute()
        self._closing = False
        self._told = 0.0
        self._refused = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            protocol.Train: self._on_train,
            protocol.Pause: self._on_pause,
            protocol.Resume: self._on_resume,
            protocol.Stop: self._on_stop,
            protocol.Look: self._live.look,
            protocol.LookAway: lambda _: self._live.look(None),
            protocol.UseModel: self._on_use_model,
            protocol.Painted: self._on_painted,
            protocol.Annotated: self._on_painted,
            protocol.Apply: self._on_job,
            protocol.Export: self._on_job,
            protocol.Suggest: self._on_job,
            protocol.Compare: self._on_job,
            protocol.NoteImage: self._on_note_image,
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
        elif isinstance(command, protocol.UseModel):
            self._use_model(command)
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
        for _train in self._take_waiting(protocol.Train):
            self._send(Finished("stopped"))

    def _take_waiting(self, kind: type[_Kind]) -> list[_Kind]:
        """Take the commands of a kind out of those that wait."""
        taken: list[_Kind] = [c for c in self._waiting if isinstance(c, kind)]
        self._waiting = [c for c in self._waiting if not isinstance(c, kind)]
        return taken

    def _on_use_model(self, command: protocol.UseModel) -> None:
        if self._run is None:
            self._use_model(command)
        else:  # the run ends by having its own network used, so this comes after it
            self._waiting.append(command)

    def _use_model(self, command: protocol.UseModel) -> None:
        self._model = None  # the one before may be of another project
        try:
            if command.path is not None:
                self._model = latest_model(command.path, command.checkpoint)
        except UserError as error:
            self._send(Message(str(error)))
        self._calibrate()
        self._live.restart()

    def _calibrate(self) -> None:
        """Tell how far counts of the present model are from the truth."""
        if self._model is not None and self._model.config.density is not None:
            self._send(calibration(self._model.config))

    def _on_painted(self, command: protocol.Painted | protocol.Annotated) -> None:
        if self._run is not None and not self._run.stopped:
            self._run.painted.append(command)

    def _on_note_image(self, command: protocol.NoteImage) -> None:
        if self._run is not None and not self._run.stopped:
            self._run.note(command.image)

    def _on_job(self, command: protocol.Command) -> None:
        self._waiting.append(command)

    def _on_cancel_job(self, _: protocol.CancelJob) -> None:
        if self._job is not None:
            self._job.cancel()
        for apply in self._take_waiting(protocol.Apply):
            self._send(protocol.JobFinished("apply", "cancelled", apply.out))
        for export in self._take_waiting(protocol.Export):
            path = written_to(export.target, len(export.axes))
            self._send(protocol.JobFinished("export", "cancelled", path))

    def _on_shutdown(self, _: protocol.Shutdown) -> None:
        self._closing = True
        self._on_stop(protocol.Stop())
        self._on_cancel_job(protocol.CancelJob())

    def _train(self, command: protocol.Train) -> None:
        self._run = Run(command, self._send, self._between_steps)
        self._live.restart()
        try:
            self._model = self._run.train() or self._model
            self._compute = self._run.compute or self._compute
        finally:
            self._run = None
            self._calibrate()
            self._live.restart()
        while self._model_is_next():
            self._start(self._waiting.pop(0))

    def _model_is_next(self) -> bool:
        return bool(self._waiting) and isinstance(self._waiting[0], protocol.UseModel)

    def _between_steps(self) -> None:
        """Serve the window between two steps; while the run rests, do nothing else."""
        run = self._run
        assert run is not None
        self._pump()
        self._show()
        self._jobs_of_a_run()
        if run.rests and not run.cancel.cancelled:
            run.come_to_rest()
        while run.rests and not run.cancel.cancelled:
            worked = self._show()
            self._jobs_of_a_run()
            self._pump(0.0 if worked else _IDLE_WAIT)
            run.refresh()

    def _jobs_of_a_run(self) -> None:
        """Apply or export while a run waits, but not what comes after another model."""
        while self._waiting and not self._closing and not self._model_is_next():
            self._start(self._waiting.pop(0))

    def _show(self) -> bool:
        """Predict a tile of what is on the screen, with the network as it is now."""
        network = self._network()
        if network is None or (self._run is not None and self._run.stopped):
            return False  # what is on the screen may be of another project by now
        try:
            worked = self._live.tick(network)
            self._refused = self._refused and not worked
            return worked
        except UserError as error:
            self._live.look(None)
            self._send(Message(str(error)))
        except OSError as error:  # the disk may be full; it is tried again
            self._live.rest()
            if not self._refused:
                self._send(
                    Message(
                        f"The prediction cannot be written ({error.strerror or error}"
                        "); it comes back when there is room."
                    )
                )
            self._refused = True
        except (RuntimeError, MemoryError) as error:
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
            elif isinstance(command, protocol.Compare):
                run_compare(command, self._network(), self._send, self._pump)
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
