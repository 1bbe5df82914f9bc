"""A column of controls that scrolls up and down, and is never cut off at its side."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget


def scrolled_column(dock: QWidget, spacing: int | None = None) -> QVBoxLayout:
    """Return the column of a dock, which scrolls where the dock is too low for it.

    Parameters
    ----------
    dock : QWidget
        Without a layout so far.
    spacing : int, optional
        Pixels between two controls.
    """
    inner = QWidget()
    column = QVBoxLayout(inner)
    if spacing is not None:
        column.setSpacing(spacing)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(Scrolled(inner))
    return column


class Scrolled(QScrollArea):
    """Scrolls a widget up and down, and is as wide as that must be.

    Parameters
    ----------
    inner : QWidget
        What is scrolled; its least width may change.
    """

    def __init__(self, inner: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inner)
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the least width of what is scrolled."""
        result = bool(super().eventFilter(watched, event))
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return result

    def _fit(self) -> None:
        bar, inner = self.verticalScrollBar(), self.widget()
        if bar is not None and inner is not None:
            width = inner.minimumSizeHint().width() + bar.sizeHint().width()
            self.setMinimumWidth(width + 2 * self.frameWidth())
