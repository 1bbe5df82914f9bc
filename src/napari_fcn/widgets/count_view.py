"""A table of counts with their uncertainty, in which those of boxes are corrected."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_fcn.data.files import atomic_path
from napari_fcn.workbench.count_sums import IN_PLANE, IN_VIEW, SLICE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fcn.workbench.count_sums import LiveCount

_HEADER = ("Where", "Class", "Count", "Really")
_TRUTH = 3
_NAMES = {
    IN_PLANE: "in view, plane",
    IN_VIEW: "in view",
    SLICE: "this slice",
    VOLUME: "this volume",
}


def short_count(found: LiveCount) -> str:
    """Return a count as it is written into a box."""
    return f"{found.count:.1f}"


def place_name(place: int) -> str:
    """Return what a place is called."""
    return _NAMES.get(place, f"box {place + 1}")


class CountTable(QWidget):
    """Counts of what is in view, of the slice and of boxes.

    Signals
    -------
    corrected : int, int, float or None
        Number of the box, number of the class, and what the user typed.
    """

    corrected = Signal(int, int, object)

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[LiveCount] = []
        self.table = QTableWidget(0, len(_HEADER))
        self.table.setHorizontalHeaderLabels(_HEADER)
        self.table.verticalHeader().hide()
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.table.setMinimumHeight(150)
        self.note = QLabel("The density map is counted once the network has learned.")
        self.note.setWordWrap(True)
        self.note.setStyleSheet("color: #999;")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addWidget(self.note)
        self.table.itemChanged.connect(self._on_changed)

    def show_counts(self, counts: Sequence[LiveCount], *, measured: bool) -> None:
        """Show these counts.

        Parameters
        ----------
        counts : sequence of LiveCount
            In the order of the rows.
        measured : bool
            Whether their uncertainty was measured on what the network has not seen.
        """
        if self.table.state() == QAbstractItemView.State.EditingState:
            return  # the user is typing a number
        self.counts = list(counts)
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self.counts))
            for row, found in enumerate(self.counts):
                self._fill(row, found)
        self.note.setText(_note(self.counts, measured))

    def save(self, path: Path) -> None:
        """Write what is shown to a CSV file; raises `UserError` if it cannot."""
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("where", "class", "count", "deviation", "true"))
            for c in self.counts:
                truth = "" if c.truth is None else f"{c.truth:g}"
                row = (place_name(c.place), c.label.name)
                writer.writerow((*row, f"{c.count:.3f}", f"{c.deviation:.3f}", truth))

    def _fill(self, row: int, found: LiveCount) -> None:
        doubt = f" ± {found.reach:.1f}" if found.deviation else ""
        truth = "" if found.truth is None else f"{found.truth:g}"
        texts = (
            place_name(found.place),
            found.label.name,
            f"{found.count:.1f}{doubt}",
            truth if found.place >= 0 else "–",
        )
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            flags = Qt.ItemFlag.ItemIsEnabled
            if column == _TRUTH and found.place >= 0:
                flags |= Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsSelectable
                item.setToolTip(
                    "Double-click and type how many there are: the network learns it"
                )
                item.setBackground(QColor("#3a3a20"))
            item.setFlags(flags)
            self.table.setItem(row, column, item)

    def _on_changed(self, item: QTableWidgetItem) -> None:
        row = item.row()
        if item.column() != _TRUTH or row >= len(self.counts):
            return
        found = self.counts[row]
        text = item.text().strip().replace(",", ".")
        try:
            truth = float(text) if text else None
        except ValueError:
            truth = found.truth
        if truth is not None and not 0 <= truth < 1e9:
            truth = found.truth
        self.corrected.emit(found.place, found.label.value, truth)


def _note(counts: Sequence[LiveCount], measured: bool) -> str:
    if not any(c.deviation for c in counts):
        return "How certain a count is appears with the first score."
    where = (
        "measured on areas that the network has not seen"
        if measured
        else "too optimistic: measured on what the network has learned"
    )
    boxes = any(c.place >= 0 for c in counts)
    hint = " Type the right number of a box into the last column." if boxes else ""
    return f"±: 95 of 100 true counts should lie within, {where}.{hint}"
