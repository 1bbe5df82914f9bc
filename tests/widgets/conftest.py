"""A real viewer on a real X server, with an engine of its own."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_fcn.config import ClassInfo, NetworkConfig, TrainingConfig
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.export.masks import write_array
from napari_fcn.widgets.apply_dock import ApplyDock
from napari_fcn.widgets.host import Host
from napari_fcn.widgets.train_dock import TrainDock
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.session import Workbench

SIZE = 128
SCALE = (2.0, 0.5, 0.5)
QUICK_NETWORK = NetworkConfig(width=8, depth=2)
QUICK_TRAINING = TrainingConfig(crop=48, batch=4, score_every=1.0)
CLASSES = (
    ClassInfo(value=1, name="background", colour="#4c72b0", background=True),
    ClassInfo(value=2, name="cell", colour="#ffb000"),
)


class Window:
    """A viewer with both docks, and a hand that moves the mouse."""

    def __init__(self, viewer, workbench) -> None:
        self.viewer = viewer
        self.workbench = workbench
        window = viewer.window._qt_window
        self.host = Host(viewer, workbench, window)
        self.train = TrainDock(viewer, self.host)
        self.apply = ApplyDock(viewer, self.host)
        viewer.window.add_dock_widget(self.train, name="Label & Train")
        viewer.window.add_dock_widget(self.apply, name="Apply", tabify=True)
        self.said: list[str] = []
        workbench.said.connect(self.said.append)

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas.native

    def until(self, condition, what: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited for {what}; said {self.said}"
            QTest.qWait(20)

    def at(self, y: float, x: float) -> QPoint:
        """Where a pixel of the plane is on the canvas."""
        camera = getattr(self.viewer, "scene", self.viewer).camera
        middle = np.array(camera.center[-2:])
        world = np.array([y, x]) * SCALE[1:]
        offset = (world - middle) * camera.zoom
        size = self.canvas.size()
        return QPoint(
            round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0])
        )

    def drag(self, start, end, steps: int = 12) -> None:
        """Paint a stroke with the left button, as a hand does."""
        canvas = self.canvas
        points = [
            self.at(*(np.array(start) + (np.array(end) - start) * t))
            for t in np.linspace(0, 1, steps)
        ]
        QTest.mouseMove(canvas, points[0])
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=points[0])
        for point in points[1:]:
            QTest.mouseMove(canvas, point)
            QTest.qWait(5)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=points[-1])
        QTest.qWait(20)

    def make_quick(self) -> None:
        """Choose a small network, so that tests are short."""
        self.workbench.project.update(network=QUICK_NETWORK, training=QUICK_TRAINING)
        self.train.settings.load(QUICK_NETWORK, QUICK_TRAINING)


@pytest.fixture
def stack_file(tmp_path):
    """A TIFF stack with scale: bright discs on a dark ground, and where they are."""
    random = np.random.default_rng(0)
    grid = np.mgrid[:SIZE, :SIZE]
    truth = np.ones((3, SIZE, SIZE), np.uint8)
    for plane in truth:
        for y, x in ((32, 32), (32, 96), (96, 32), (96, 96)):
            plane[((grid - np.array([y, x])[:, None, None]) ** 2).sum(0) < 18**2] = 2
    image = (40 + 110 * (truth == 2) + random.normal(0, 12, truth.shape)).clip(0, 255)
    path = tmp_path / "stack.tif"
    write_array(path, image.astype(np.uint8), Axes.of("ZYX", SCALE, "micrometer"))
    return path, truth


@pytest.fixture
def window(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1300, 850)
    start = partial(EngineProcess, threads=1, nice=0)
    result = Window(viewer, Workbench(tmp_path / "home", start))
    yield result
    result.host.close()


@pytest.fixture
def blobs():
    return samples.blobs(3, 96)
