"""A workbench with a real engine process, and ways to wait for what it tells."""

from __future__ import annotations

import time
from functools import partial

import pytest

from napari_fcn.config import ClassInfo, NetworkConfig, TrainingConfig
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.session import Workbench

CLASSES = (
    ClassInfo(value=1, name="background", background=True),
    ClassInfo(value=2, name="cell"),
    ClassInfo(value=3, name="nucleus"),
)


class Bench:
    """A workbench, and a record of all that it has emitted."""

    def __init__(self, home) -> None:
        # one thread and no niceness, so that tests run well beside others
        self.workbench = Workbench(home, partial(EngineProcess, threads=1, nice=0))
        self.said: list[str] = []
        self.finished: list = []
        self.shown: list = []
        self.jobs: list = []
        self.steps: list = []
        self.scored: list = []
        self.workbench.said.connect(self.said.append)
        self.workbench.finished.connect(self.finished.append)
        self.workbench.shown.connect(self.shown.append)
        self.workbench.job_finished.connect(self.jobs.append)
        self.workbench.scored.connect(self.scored.append)
        self.workbench.stepped.connect(lambda s, loss: self.steps.append((s, loss)))

    def until(self, condition, what: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited for {what}; said {self.said}"
            self.workbench.poll()
            time.sleep(0.02)

    def open_blobs(self, paint: bool = True, slices: int = 3, size: int = 96):
        image, truth = samples.blobs(slices, size)
        axes = Axes.of("ZYX", (2.0, 0.5, 0.5), "micrometer")
        entry = self.workbench.add_image(image, axes, "blobs")
        project = self.workbench.project
        project.update(
            classes=CLASSES,
            network=NetworkConfig(width=8, depth=2),
            training=TrainingConfig(crop=48, batch=4, score_every=1.0),
        )
        if paint:
            painted = samples.strokes(truth, 18)
            self.workbench.labels(entry.key)[...] = painted
            self.workbench.flush()
        return entry, image, truth


@pytest.fixture
def bench(tmp_path):
    result = Bench(tmp_path / "home")
    yield result
    result.workbench.close()
