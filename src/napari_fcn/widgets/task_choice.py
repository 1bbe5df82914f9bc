"""The choice of what a network shall learn, with a picture for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QIcon, QLinearGradient, QPainter, QPixmap
from qtpy.QtWidgets import QComboBox, QWidget

if TYPE_CHECKING:
    from napari_fcn.config import Task

TASKS: tuple[tuple[Task, str, str], ...] = (
    ("segmentation", "Segment: what is where", "Paint strokes; get masks"),
    ("density", "Count: how many objects", "Click dots; get a density map and counts"),
    (
        "regression",
        "Predict an image from an image",
        "Choose a target image, or remove noise without one",
    ),
)
HEADINGS = {
    "segmentation": "2  Paint a few strokes of each class",
    "density": "2  Put a dot on each object",
    "regression": "2  Choose what it shall look like",
}
TRAIN = {
    "segmentation": "3  Train – and go on painting where it is wrong",
    "density": "3  Train – and correct counts that are wrong",
    "regression": "3  Train – and watch the prediction",
}
_SIZE = QSize(30, 20)
_PLACES = ((7.0, 7.0), (15.0, 13.0), (23.0, 6.0))


class TaskChoice(QComboBox):
    """Offers the tasks.

    Signals
    -------
    chosen : str
        The task that the user chose.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setIconSize(_SIZE)
        for number, (task, words, help_text) in enumerate(TASKS):
            self.addItem(_icon(task), words, task)
            self.setItemData(number, help_text, Qt.ItemDataRole.ToolTipRole)
        self.setToolTip("What the network shall learn; annotations of all tasks stay")
        self.activated.connect(lambda _: self.chosen.emit(self.currentData()))

    def show_task(self, task: str) -> None:
        """Show which task is learned."""
        with QSignalBlocker(self):
            self.setCurrentIndex(max(0, self.findData(task)))


def _icon(task: Task) -> QIcon:
    """Draw masks, dots, or one picture that becomes another."""
    picture = QPixmap(_SIZE)
    picture.fill(QColor("#20242c"))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    if task == "regression":
        fade = QLinearGradient(0, 0, _SIZE.width(), 0)
        fade.setColorAt(0.35, QColor("#9a9a9a"))
        fade.setColorAt(0.65, QColor("#00c878"))
        painter.setBrush(QBrush(fade))
        painter.drawEllipse(QRectF(3, 3, 24, 14))
    else:
        for x, y in _PLACES:
            painter.setBrush(QColor("#ffb000" if task == "segmentation" else "#777"))
            painter.drawEllipse(QPointF(x, y), 5.0, 5.0)
            if task == "density":
                painter.setBrush(QColor("#ff4040"))
                painter.drawEllipse(QPointF(x, y), 1.8, 1.8)
    painter.end()
    return QIcon(picture)
