"""Paints at random in a real viewer until it is killed; run by `test_killed.py`.

Imports everything once. Then, for every line on standard input, a fork of it opens the
project in a viewer of its own, says the number of its process and that of its engine's,
and paints with the mouse, undoes and redoes without end, while the engine learns and
writes checkpoints. Before the button is released it writes down what must be on disk
from then on; afterwards that it was released.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import napari
import napari._qt.qt_viewer  # what takes long is imported before the forks
import numpy as np
import torch
import torch._dynamo
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.data import samples
from napari_fcn.errors import UserError
from napari_fcn.widgets.host import Host
from napari_fcn.workbench import run
from napari_fcn.workbench.server import Server
from napari_fcn.workbench.session import Workbench

SIZE = 96


class ForkedEngine:
    """The engine in a fork of this program, which has imported all that it needs."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        self.pid = os.fork()
        if not self.pid:
            self._connection.close()  # so that it sees the window hang up
            os.nice(10)
            torch.set_num_threads(1)
            run._CHECKPOINT_EVERY = 0.3
            with suppress(SystemExit):
                Server(theirs).serve()
            os._exit(0)
        theirs.close()

    def send(self, command) -> None:
        with suppress(OSError):
            self._connection.send(command)

    def events(self):
        with suppress(OSError, EOFError):
            while self._connection.poll(0):
                yield self._connection.recv()

    def close(self) -> None:
        """It ends by itself."""


class Painter:
    def __init__(self, home: Path, seed: int, engine: ForkedEngine) -> None:
        self.home, self.random = home, np.random.default_rng(seed)
        self.number = len(list(home.glob("expected-*.npy")))
        self.viewer = napari.Viewer(show=False)
        window = self.viewer.window._qt_window
        window.resize(420, 380)
        window.show()
        self.book = Workbench(home, lambda: engine)
        self.host = Host(self.viewer, self.book, window)
        found = list(home.glob("*.fcnproj"))
        if found:
            self.book.open_project(found[0])
            self.train()
        layer = self.viewer.add_image(samples.blobs(3, SIZE)[0], name="cells")
        self.host.scene.work_on(layer, "ZYX")
        self.book.project.update(
            network=NetworkConfig(width=4, depth=1),
            training=TrainingConfig(crop=32, batch=1),
        )
        self.strokes = self.host.scene.strokes
        self.strokes.mode, self.strokes.brush_size = "paint", 9
        self.strokes.n_edit_dimensions = 3  # each stroke is in several files
        QTest.qWait(50)
        self.canvas = self.viewer.window._qt_viewer.canvas.native
        self.states = [self.labels()]
        self.at = 0

    def train(self) -> None:
        """Start training, if it is not going on yet."""
        with suppress(UserError):  # nothing is painted, or all is erased
            self.book.train()

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
                self.train()
            else:
                self.step(-1 if act == 3 else 1)
            QTest.qWait(1)


def main() -> None:
    home = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports what is slow
    for line in sys.stdin:
        child = os.fork()
        if not child:
            engine = ForkedEngine()  # before there is a window
            painter = Painter(home, int(line), engine)
            print(os.getpid(), engine.pid, flush=True)  # noqa: T201
            painter.run()
        os.waitpid(child, 0)


main()
