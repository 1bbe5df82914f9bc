"""One viewer's engine, as the window sees it: its process, its status, what it tells.

It knows no window. The window calls `poll` many times a second, in its own thread;
every signal is emitted there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from psygnal import Signal

from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.workbench import protocol
from napari_fcn.workbench.questions import Answer, Question
from napari_fcn.workbench.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fcn.data.store import Region
    from napari_fcn.workbench.process import EngineProcess

_SMOOTH = 0.8
"""Weight of the past in the speed that is shown."""


class EngineClient:
    """Starts an engine when it is needed, and emits what it tells.

    Parameters
    ----------
    start_process : callable
        Starts an engine.

    Attributes
    ----------
    status : Status
        What it is doing now.
    """

    status_changed = Signal(Status)
    stepped = Signal(float, float)
    scored = Signal(Scored)
    shown = Signal(protocol.Shown)
    said = Signal(str)
    finished = Signal(Finished)
    job_finished = Signal(protocol.JobFinished)
    answered = Signal(object)
    suggested = Signal(protocol.Suggested)
    compared = Signal(protocol.Compared)

    def __init__(self, start_process: Callable[[], EngineProcess]) -> None:
        self.status = Status()
        self._start_process = start_process
        self._engine: EngineProcess | None = None
        self._look: protocol.Look | None = None
        self._last_step = (0.0, 0)
        self._suggestions: list[tuple[str, Region]] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            protocol.Ready: lambda e: self._set(warm=True, device=e.device),
            Started: lambda e: self._set(device=e.device),
            Stepped: self._on_step,
            Scored: self._on_scored,
            Message: lambda e: self.said.emit(e.text),
            protocol.Rested: self._on_rested,
            protocol.Paused: lambda _: self._set(state="paused", speed=0.0),
            protocol.Resumed: self._on_resumed,
            protocol.Shown: self._on_shown,
            protocol.JobProgress: lambda e: self._set(job=e.job, share=e.share),
            protocol.JobFinished: self._on_job_finished,
            protocol.Suggested: self._on_suggested,
            protocol.Compared: self._on_compared,
            Finished: self._on_finished,
            protocol.EngineDied: self._on_death,
            **dict.fromkeys(get_args(Answer), self.answered.emit),
        }

    def start_engine(self) -> None:
        """Start the engine's process, so that it is warm when needed."""
        if self._engine is not None:
            return
        self._engine = self._start_process()
        if self._look is not None:
            self._engine.send(self._look)
        self._set(state="ready", warm=False, device="")

    @property
    def engine_pid(self) -> int | None:
        """Number of the engine's process, if it runs."""
        return self._engine.pid if self._engine is not None else None

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def poll(self) -> None:
        """Take what the engine has told and emit it."""
        if self._engine is not None:
            for event in self._engine.events():
                self._handlers[type(event)](event)

    def ask(self, question: Question) -> None:
        """Ask the engine about a network; it answers by the signal `answered`."""
        self.start_engine()
        self._send(question)

    def pause(self) -> None:
        """Keep the run where it is."""
        self._send(protocol.Pause())

    def stop(self) -> None:
        """End the run; its best weights are kept."""
        if self.status.state in ("training", "paused"):
            self._send(protocol.Stop())
            self._set(state="stopping")

    def look_away(self) -> None:
        """Predict nothing on the screen from now on."""
        self._look = None
        self._send(protocol.LookAway())

    def _send(self, command: protocol.Command) -> None:
        if self._engine is not None:
            self._engine.send(command)

    def _set(self, **changes: Any) -> None:
        status = replace(self.status, **changes)
        if status != self.status:
            self.status = status
            self.status_changed.emit(status)

    def _on_step(self, event: Stepped) -> None:
        now, (then, before) = time.monotonic(), self._last_step
        speed = self.status.speed
        if before and now > then:
            latest = (event.step - before) / (now - then)
            speed = _SMOOTH * speed + (1 - _SMOOTH) * latest if speed else latest
        self._last_step = (now, event.step)
        if self.status.resting:  # what was said of that is not true any more
            self.said.emit("")
        self._set(step=event.step, seconds=event.seconds, speed=speed, resting=False)
        self.stepped.emit(event.seconds, event.loss)

    def _on_scored(self, event: Scored) -> None:
        self._set(score=event.score, held_out=event.held_out, details=event.details)
        self.scored.emit(event)

    def _on_rested(self, _: protocol.Rested) -> None:
        self._last_step = (0.0, 0)
        self._set(resting=True, speed=0.0)

    def _on_resumed(self, _: protocol.Resumed) -> None:
        self._last_step = (0.0, 0)
        self._set(state="training")

    def _on_finished(self, event: Finished) -> None:
        self._set(state="ready", speed=0.0, resting=False)
        if event.reason == "failed":
            self.said.emit(event.message)
        self.finished.emit(event)

    def _on_shown(self, event: protocol.Shown) -> None:
        self.shown.emit(event)

    def _on_suggested(self, event: protocol.Suggested) -> None:
        self._suggestions.append((event.key, event.region))
        self.suggested.emit(event)

    def _on_compared(self, event: protocol.Compared) -> None:
        self.compared.emit(event)

    def _on_job_finished(self, event: protocol.JobFinished) -> None:
        self._set(job="", share=0.0)
        if event.reason == "failed":
            self.said.emit(event.message)
        self.job_finished.emit(event)

    def _on_death(self, event: protocol.EngineDied) -> None:
        before = self.status
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._set(state="dead", warm=False, speed=0.0, resting=False, job="", share=0.0)
        self.said.emit(event.message)
        if before.state in ("training", "paused", "stopping"):
            self.finished.emit(Finished("failed", event.message))
        if before.job == "apply" or before.job == "export":
            self.job_finished.emit(
                protocol.JobFinished(before.job, "failed", Path(), event.message)
            )
