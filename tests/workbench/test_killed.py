"""kill -9 of the engine at random moments: the last checkpoint is always whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.project import Project

ROUNDS = 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_engine_is_killed_while_it_learns(bench, tmp_path):
    bench.open_blobs(slices=2, size=64)
    bench.workbench.project.update(
        network=NetworkConfig(width=8, depth=2),
        training=TrainingConfig(crop=32, batch=1, score_every=1e9),
    )
    bench.workbench.close()
    folder, log = bench.workbench.project.folder, tmp_path / "log.txt"
    project = Project.open(folder)
    labels = np.asarray(project.record.images[0].labels(folder))
    program = Path(__file__).with_name("learner.py")
    learner = subprocess.Popen(
        [sys.executable, str(program), str(folder), str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    moment, steps = random.Random(0), 0
    try:
        for _ in range(ROUNDS):
            learner.stdin.write("\n")
            learner.stdin.flush()
            engine = int(learner.stdout.readline())
            wait_for(log, steps + 1)
            time.sleep(moment.uniform(0, 0.05))
            os.kill(engine, signal.SIGKILL)
            before, steps = steps, last(log)
            found = load_checkpoint(project.checkpoint)
            # The next one may be whole, and only the log of it be missing.
            assert before < steps <= found.step <= steps + 1
    finally:
        learner.kill()
        learner.communicate()
    np.testing.assert_array_equal(
        project.record.images[0].labels(folder, writable=False), labels
    )


def last(log: Path) -> int:
    """Return the last step that is logged whole."""
    lines = log.read_text().splitlines(keepends=True) if log.is_file() else []
    return int(next((x for x in reversed(lines) if x.endswith("\n")), "0"))


def wait_for(log: Path, step: int) -> None:
    end = time.monotonic() + 60
    while last(log) < step:
        assert time.monotonic() < end, "nothing is learned"
        time.sleep(0.002)
