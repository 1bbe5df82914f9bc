"""Paints at random in a real viewer until it is killed; run by `test_killed.py`.

Imports everything once. Then, for every line on standard input, a fork of it opens the
project in a viewer of its own, says ``ready``, and paints with the mouse, undoes and
redoes without end. Before the button is released it writes down what must be on disk
from then on; afterwards that it was released.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import napari
import napari._qt.qt_viewer  # what takes long is imported before the forks
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_fcn.data import samples
from napari_fcn.widgets.host import Host
from napari_fcn.workbench.session import Workbench

SIZE = 96


class NoEngine:
    """Nothing is trained here."""

    pid = None

    def send(self, command) -> None:
        """Do nothing."""

    def events(self) -> list:
        """Tell nothing."""
        return []

    def close(self) -> None:
        """Do nothing."""


class Painter:
    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.random = home, np.random.default_rng(seed)
        self.number = len(list(home.glob("expected-*.npy")))
        self.viewer = napari.Viewer(show=False)
        window = self.viewer.window._qt_window
        window.resize(420, 380)
        window.show()
        self.book = Workbench(home, NoEngine)
        self.host = Host(self.viewer, self.book, window)
        found = list(home.glob("*.fcnproj"))
        if found:
            self.book.open_project(found[0])
        layer = self.viewer.add_image(samples.blobs(3, SIZE)[0], name="cells")
        self.host.scene.work_on(layer, "ZYX")
        self.strokes = self.host.scene.strokes
        self.strokes.mode, self.strokes.brush_size = "paint", 9
        self.strokes.n_edit_dimensions = 3  # each stroke is in several files
        QTest.qWait(50)
        self.canvas = self.viewer.window._qt_viewer.canvas.native
        self.states = [self.labels()]
        self.at = 0

    def labels(self):
        return np.asarray(self.strokes.data)

    def expect(self, state) -> None:
        part = self.home / "part.npy"
        np.save(part, state)
        part.rename(self.home / f"expected-{self.number:04}.npy")

    def done(self) -> None:
        with (self.home / "log.txt").open("a") as log:
            log.write(f"{self.number}\n")
        self.number += 1

    def stroke(self) -> None:
        self.viewer.dims.set_current_step(0, int(self.random.integers(3)))
        self.strokes.selected_label = int(self.random.integers(0, 3))
        size = np.array([self.canvas.width(), self.canvas.height()])
        place = size / 2 + self.random.uniform(-100, 100, 2)
        step = self.random.uniform(-25, 25, 2)
        button = Qt.MouseButton.LeftButton
        QTest.mousePress(self.canvas, button, pos=QPoint(*map(int, place)))
        for _ in range(4):
            place += step
            QTest.mouseMove(self.canvas, QPoint(*map(int, place)))
        self.states = [*self.states[: self.at + 1], self.labels()]
        if (self.states[-1] == self.states[-2]).all():
            del self.states[-1]  # nothing has changed, so nothing can be undone
        self.at = len(self.states) - 1
        self.expect(self.states[self.at])
        QTest.mouseRelease(self.canvas, button, pos=QPoint(*map(int, place)))
        self.done()

    def step(self, by: int) -> None:
        if not 0 <= self.at + by < len(self.states):
            return
        self.at += by
        self.expect(self.states[self.at])
        key, shift = Qt.Key.Key_Z, Qt.KeyboardModifier.ShiftModifier
        control = Qt.KeyboardModifier.ControlModifier
        QTest.keyClick(self.canvas, key, control if by < 0 else control | shift)
        assert (self.labels() == self.states[self.at]).all(), "undo by keys"
        self.done()

    def run(self) -> None:
        while True:
            act = self.random.integers(5)
            if act < 3:
                self.stroke()
            else:
                self.step(-1 if act == 3 else 1)
            QTest.qWait(1)


def main() -> None:
    home = Path(sys.argv[1])
    for line in sys.stdin:
        child = os.fork()
        if not child:
            painter = Painter(home, int(line))
            print(os.getpid(), flush=True)  # noqa: T201
            painter.run()
        os.waitpid(child, 0)


main()
