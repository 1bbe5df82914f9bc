"""A picture of several plots, for the figures of the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLOURS = ("#4c72b0", "#dc267f", "#00b38a", "#fe6100")


class Sheet:
    """A row or two of panels, saved as a picture."""

    def __init__(self, width: int, height: int) -> None:
        self.widget = pg.GraphicsLayoutWidget(size=(width, height))

    def plot(
        self,
        title: str,
        bottom: str,
        left: str,
        row: int = 0,
        column: int | None = None,
    ) -> pg.PlotItem:
        plot = self.widget.addPlot(row=row, col=column, title=title)
        plot.setLabel("bottom", bottom)
        plot.setLabel("left", left)
        return plot

    def picture(
        self, title: str, values: NDArray[Any], most: float, colours: str, row: int = 0
    ) -> pg.PlotItem:
        plot = self.widget.addPlot(row=row, col=None, title=title)
        item = pg.ImageItem(np.asarray(values, np.float32), axisOrder="row-major")
        item.setLevels((0, most))
        if colours != "gray":
            item.setColorMap(pg.colormap.get(colours))
        plot.addItem(item)
        plot.setAspectLocked(True)
        plot.invertY(True)
        plot.hideAxis("left")
        plot.hideAxis("bottom")
        return plot

    def save(self, path: Path) -> None:
        self.widget.show()
        pg.QtWidgets.QApplication.processEvents()
        self.widget.grab().save(str(path))
        self.widget.close()


def curve(
    plot: pg.PlotItem,
    x: Any,
    y: Any,
    number: int,
    name: str = "",
    *,
    dashed: bool = False,
) -> None:
    style = pg.QtCore.Qt.PenStyle.DashLine if dashed else None
    pen = pg.mkPen(COLOURS[number % len(COLOURS)], width=2, style=style)
    plot.plot(np.asarray(x, float), np.asarray(y, float), pen=pen, name=name or None)
