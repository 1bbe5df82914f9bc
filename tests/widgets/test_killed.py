"""kill -9 of a napari that is painted in, of its engine, or of both, at random moments.

No stroke is lost or torn, and the classes and the last checkpoint are there.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.project import Project
from napari_fcn.project.history import History

ROUNDS = 20
VICTIMS = ("the window", "the engine first", "both")
MOST_STROKES = 4
LONGEST = 0.05
"""Seconds between the last stroke that was waited for and the kill."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_window_and_engine_are_killed_while_painting(tmp_path, qapp):
    del qapp  # a screen is there
    painter = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("painter.py")), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    moment = random.Random(0)
    finished, steps = [], []
    try:
        for number in range(ROUNDS):
            painter.stdin.write(f"{number}\n")
            painter.stdin.flush()
            said = painter.stdout.readline()
            assert said, "the painter has failed"
            window, engine = map(int, said.split())
            killed = VICTIMS[number % len(VICTIMS)]
            if killed == "the engine first":
                os.kill(engine, signal.SIGKILL)
            wait_for(tmp_path, count(tmp_path) + moment.randrange(MOST_STROKES))
            time.sleep(moment.uniform(0, LONGEST))
            os.kill(window, signal.SIGKILL)
            if killed == "both":
                os.kill(engine, signal.SIGKILL)
            wait_for_end(engine)
            time.sleep(0.05)
            finished.append(compare(tmp_path))
            steps.append(last_checkpoint(tmp_path))
    finally:
        painter.kill()
        painter.communicate()
    assert finished == sorted(finished)
    assert finished[-1] > ROUNDS  # there was something to lose
    assert steps == sorted(steps)
    assert steps[-1] > 0
    history = History(Project.open(next(tmp_path.glob("*.fcnproj"))).history)
    assert history.read("segmentation").losses
    assert not history.damaged


def count(home: Path) -> int:
    """Return how many strokes are logged as finished."""
    log = home / "log.txt"
    return len(log.read_text().split()) if log.is_file() else 0


def wait_for(home: Path, strokes: int) -> None:
    end = time.monotonic() + 60
    while count(home) < strokes:
        assert time.monotonic() < end, "the painter does not paint"
        time.sleep(0.002)


def wait_for_end(engine: int) -> None:
    """An engine whose window is gone writes what it has learned, and ends."""
    end = time.monotonic() + 60
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(engine).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, "the engine still runs"
            time.sleep(0.01)


def last_checkpoint(home: Path) -> int:
    """Return the step of the last checkpoint, which must be whole; 0 if none."""
    project = Project.open(next(home.glob("*.fcnproj")))
    assert [c.value for c in project.record.classes] == [1, 2]
    if not project.checkpoint.is_file():
        return 0
    return load_checkpoint(project.checkpoint).step


def compare(home: Path) -> int:
    """Compare what is on disk with the log; return how many strokes were finished."""
    log = home / "log.txt"
    finished = log.read_text().split() if log.is_file() else []
    folder = next(home.glob("*.fcnproj"))
    labels = np.asarray(Project.open(folder).record.images[0].strokes(folder))
    last = int(finished[-1]) if finished else -1
    allowed = [np.zeros_like(labels)] if last < 0 else []
    # The next one may have been finished, and only the log of it be missing.
    for number in (last, last + 1):
        expected = home / f"expected-{number:04}.npy"
        if expected.is_file():
            allowed.append(np.load(expected))
    assert any(np.array_equal(labels, state) for state in allowed), last
    return last + 1
