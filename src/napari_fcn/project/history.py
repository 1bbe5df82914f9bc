"""What training has achieved over time, kept line by line in ``history.jsonl``.

Each line is a JSON object with the task, the seconds of training and either a loss or
a score. Lines are only ever added: a program that dies leaves at most one half line,
which is passed over.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NOTE_EVERY = 2.0
"""Seconds between two losses on disk."""
_SMOOTH = 0.9
_MOST_BYTES = 2 << 20
"""How much of the end of the file is read: some 16 hours of training."""
_MOST_POINTS = 1500
_LARGEST = 1e9


def smoothed(before: float | None, loss: float) -> float:
    """Return a loss drawn towards the one before; those of single steps vary much."""
    return loss if before is None else _SMOOTH * before + (1 - _SMOOTH) * loss


@dataclass
class Timeline:
    """The losses and scores of a run, over seconds of training.

    Attributes
    ----------
    losses, scores : list of (float, float)
        Seconds, and the value then.
    step : int
        Of the last loss.
    held_out : bool
        Whether the last score is on what the network has never seen.
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    scores: list[tuple[float, float]] = field(default_factory=list)
    step: int = 0
    held_out: bool = True

    def add_loss(self, seconds: float, loss: float) -> None:
        """Add a loss.

        Where a run goes on from an earlier moment, as after a crash, what came later
        was not gone on with and is dropped.
        """
        for points in (self.losses, self.scores):
            while points and points[-1][0] > seconds:
                points.pop()
        self.losses.append((seconds, loss))
        _thin(self.losses)

    def add_score(self, seconds: float, score: float) -> None:
        """Add a score."""
        self.scores.append((seconds, score))
        _thin(self.scores)

    @property
    def seconds(self) -> float:
        """How long was trained."""
        return max((p[-1][0] for p in (self.losses, self.scores) if p), default=0.0)


class History:
    """The history of a project's training.

    Parameters
    ----------
    path : Path
        The file; made when there is something to note.

    Attributes
    ----------
    damaged : bool
        Whether most of what was read last is no history. Single half lines, as a
        program leaves behind that was killed, are no damage.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = False
        self._anew = False
        self._known: tuple[tuple[Any, ...], Timeline] | None = None
        self._noted = -_NOTE_EVERY
        self._waiting: dict[str, Any] = {}
        self._loss: dict[str, float] = {}

    def begin_anew(self) -> None:
        """Have what comes next not go on from what is there."""
        self._anew = True
        self._loss.clear()

    def note_loss(self, task: str, step: int, seconds: float, loss: float) -> None:
        """Note the loss of a step, smoothed; it is on disk within seconds."""
        if not math.isfinite(loss):
            return
        self._loss[task] = smoothed(self._loss.get(task), loss)
        self._waiting = {
            "task": task,
            "step": step,
            "seconds": round(seconds, 2),
            "loss": self._loss[task],
        }
        if time.monotonic() - self._noted >= _NOTE_EVERY:
            self.flush()

    def note_score(
        self, task: str, step: int, seconds: float, score: float, *, held_out: bool
    ) -> None:
        """Note a score, after the losses before it."""
        self.flush()
        self._add(
            task=task,
            step=step,
            seconds=round(seconds, 2),
            score=score,
            held_out=held_out,
        )

    def flush(self) -> None:
        """Write the latest loss, if it is not written yet."""
        if not self._waiting:
            return
        begin = {"begin": True} if self._anew else {}
        self._add(**self._waiting, **begin)
        self._waiting, self._anew, self._noted = {}, False, time.monotonic()

    def read(self, task: str) -> Timeline:
        """Return the last run of a task, with all that it went on from.

        The file is read again only when it has changed. Lines that nobody can read are
        passed over.
        """
        state = (task, *self._state())
        if self._known is None or self._known[0] != state:
            self._known = state, self._read(task)
        return deepcopy(self._known[1])

    def _state(self) -> tuple[int, int]:
        """Return size and time of the file, 0 where there is none."""
        with suppress(OSError):
            about = self.path.stat()
            return about.st_size, about.st_mtime_ns
        return 0, 0

    def _read(self, task: str) -> Timeline:
        found, readable, strange = Timeline(), 0, 0
        for line in self._lines():
            try:
                found = _with_line(found, line, task)
                readable += 1
            except (ValueError, TypeError, KeyError, RecursionError):
                strange += 1
        self.damaged = strange > readable
        if found.losses:
            self._loss.setdefault(task, found.losses[-1][1])
        return found

    def _lines(self) -> Iterator[bytes]:
        """Yield the last lines of the file, without one that is not complete."""
        content = b""
        with suppress(OSError):
            if self.path.is_file():  # and nothing that could be read without end
                with self.path.open("rb") as file:
                    start = max(0, self.path.stat().st_size - _MOST_BYTES)
                    file.seek(start)
                    content = file.read(_MOST_BYTES)
                    content = content.partition(b"\n")[2] if start else content
        for line in content.split(b"\n")[:-1]:
            if line.strip():
                yield line

    def _add(self, **facts: Any) -> None:
        """Add a line; a full disk does not matter here."""
        line = json.dumps({"time": round(time.time(), 2), **facts}).encode() + b"\n"
        with suppress(OSError), self.path.open("ab+") as file:
            if file.tell() and not self._ends_with_a_line(file):
                line = b"\n" + line  # a program has died in the middle of one
            file.write(line)

    @staticmethod
    def _ends_with_a_line(file: Any) -> bool:
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")


def _with_line(found: Timeline, line: bytes, task: str) -> Timeline:
    """Return a timeline with what a line says; raises on whatever is no such line."""
    facts = json.loads(line)
    if not isinstance(facts, dict):
        raise TypeError(facts)
    if facts.get("task", "segmentation") != task:
        return found
    seconds = _number(facts["seconds"])
    if "score" in facts:
        found.add_score(seconds, _number(facts["score"]))
        found.held_out = bool(facts.get("held_out", True))
        return found
    loss, step = _number(facts["loss"]), int(_number(facts["step"]))
    if facts.get("begin"):
        found = Timeline()
    found.add_loss(seconds, loss)
    found.step = step
    return found


def _number(value: Any) -> float:
    """Return a number as training gives them; raises ValueError."""
    if not isinstance(value, (int, float)) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(value)
    return float(value)


def _thin(points: list[tuple[float, float]]) -> None:
    """Keep every second point where there are too many."""
    if len(points) > _MOST_POINTS:
        del points[1::2]
