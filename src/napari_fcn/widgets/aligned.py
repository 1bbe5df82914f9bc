"""Rows of a form whose controls begin at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class Aligner(QObject):
    """Makes all labels in a form as wide as the widest one.

    That is known when the form is shown, with the fonts of the window's theme.

    Parameters
    ----------
    form : QWidget
        Rows of a label and a control; it keeps the aligner.
    """

    def __init__(self, form: QWidget) -> None:
        super().__init__(form)
        self._form = form
        form.installEventFilter(self)

    def eventFilter(self, form: QObject, event: QEvent) -> bool:
        """Align the labels when the form is shown."""
        if form is self._form and event.type() == QEvent.Type.Show:
            labels = self._form.findChildren(QLabel)
            width = max((label.sizeHint().width() for label in labels), default=0)
            for label in labels:
                label.setMinimumWidth(width)
        return False
