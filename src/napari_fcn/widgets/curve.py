"""The live curve: the loss, and the score on strokes the network has not seen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fcn.project.history import Timeline, smoothed

if TYPE_CHECKING:
    from napari_fcn.engine.events import Scored

_LOSS_COLOUR, _SCORE_COLOUR = "#56b4e9", "#ffb000"
_DRAW_EVERY = 0.3


class Curve(QWidget):
    """Loss on the left axis, score from 0 to 1 on the right one, over seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._timeline = Timeline()
        self._drawn = -_DRAW_EVERY
        self.plot = pg.PlotWidget(background=None)
        self.plot.setFixedHeight(175)
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        item.setLabel("left", "loss", color=_LOSS_COLOUR)
        item.setLabel("bottom", "seconds of training")
        item.layout.setContentsMargins(0, 6, 0, 10)
        item.showAxis("right")
        item.setLabel("right", "score", color=_SCORE_COLOUR)
        self._loss_line = item.plot(pen=pg.mkPen(_LOSS_COLOUR, width=2))
        self._right = pg.ViewBox(enableMenu=False)
        item.scene().addItem(self._right)
        item.getAxis("right").linkToView(self._right)
        for side in ("left", "bottom", "right"):  # 0.045, and no "45 (x0.001)"
            item.getAxis(side).enableAutoSIPrefix(False)
        self._right.setXLink(item)
        self._right.setYRange(0, 1, padding=0.02)
        self._right.setMouseEnabled(False, False)
        self._score_line = pg.PlotDataItem(
            pen=pg.mkPen(_SCORE_COLOUR, width=2),
            symbol="o",
            symbolSize=5,
            symbolBrush=_SCORE_COLOUR,
            symbolPen=None,
        )
        self._right.addItem(self._score_line)
        item.vb.sigResized.connect(self._align)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._draw)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)

    @property
    def points(self) -> int:
        """How many losses are known."""
        return len(self._timeline.losses)

    @property
    def lines(self) -> tuple[pg.PlotDataItem, pg.PlotDataItem]:
        """The drawn loss and score."""
        return self._loss_line, self._score_line

    def add_loss(self, seconds: float, loss: float) -> None:
        """Add the loss of a step; smoothed, since single steps vary much."""
        if np.isfinite(loss):
            losses = self._timeline.losses
            before = losses[-1][1] if losses and losses[-1][0] < seconds else None
            self._timeline.add_loss(seconds, smoothed(before, loss))
        self._draw()

    def add_score(self, event: Scored) -> None:
        """Add a score."""
        self._timeline.add_score(event.seconds, event.score)
        self._draw()

    def show_past(self, timeline: Timeline) -> None:
        """Show what was achieved before; what is added goes on from there."""
        self._timeline = timeline
        self._drawn = -_DRAW_EVERY
        self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn < _DRAW_EVERY:
            if not self._later.isActive():
                self._later.start(round(1000 * _DRAW_EVERY))
            return
        self._drawn = now
        for line, points in (
            (self._loss_line, self._timeline.losses),
            (self._score_line, self._timeline.scores),
        ):
            data = np.array(points).reshape(-1, 2)
            line.setData(data[:, 0], data[:, 1])
        self.plot.setXRange(0, max(1.0, self._timeline.seconds), padding=0.02)

    def _align(self) -> None:
        """Keep the score's view exactly over that of the loss."""
        box = self.plot.getPlotItem().vb
        self._right.setGeometry(box.sceneBoundingRect())
        self._right.linkedViewChanged(box, self._right.XAxis)
