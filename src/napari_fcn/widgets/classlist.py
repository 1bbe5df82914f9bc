"""The list of classes: names, colours, keys, and which one the brush paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_fcn.config import ClassInfo, default_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 255


class ClassRow(QWidget):
    """One class: a radio button, its colour, its name, its key and a menu.

    Parameters
    ----------
    info : ClassInfo
        The class.
    key : str
        What switches to it; empty if nothing does.
    """

    picked = Signal(int)
    changed = Signal(object)
    removed = Signal(int)

    def __init__(self, info: ClassInfo, key: str) -> None:
        super().__init__()
        self.info = info
        self.radio = QRadioButton()
        self.radio.setToolTip("Paint this class")
        self.radio.clicked.connect(lambda: self.picked.emit(self.info.value))
        self.swatch = QPushButton()
        self.swatch.setFixedSize(22, 22)
        self.swatch.setToolTip("Change the colour")
        self.swatch.setStyleSheet(
            f"background-color: {info.colour}; border: 1px solid #888; padding: 0;"
        )
        self.swatch.clicked.connect(self._choose_colour)
        self.name = QLineEdit(info.name)
        self.name.setToolTip("What you call this class")
        self.name.editingFinished.connect(self._rename)
        hint = QLabel(f"key {key}" if key else "")
        hint.setMinimumWidth(38)
        self.menu_button = QToolButton()
        self.menu_button.setText("⋯")
        self.menu_button.setToolTip("More")
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setMenu(self._menu())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.radio, self.swatch, self.name, hint, self.menu_button):
            layout.addWidget(widget, 1 if widget is self.name else 0)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        background = menu.addAction("This is the background")
        background.setCheckable(True)
        background.setChecked(self.info.background)
        background.triggered.connect(
            lambda on: self.changed.emit(
                self.info.model_copy(update={"background": bool(on)})
            )
        )
        remove = menu.addAction("Remove from the list")
        remove.triggered.connect(lambda: self.removed.emit(self.info.value))
        return menu

    def _choose_colour(self) -> None:
        colour = QColorDialog.getColor(QColor(self.info.colour), self)
        if colour.isValid():
            self.changed.emit(self.info.model_copy(update={"colour": colour.name()}))

    def _rename(self) -> None:
        name = self.name.text().strip() or f"class {self.info.value}"
        if name != self.info.name:
            self.changed.emit(self.info.model_copy(update={"name": name}))


class ClassList(QWidget):
    """All classes, with a button that adds one.

    Signals
    -------
    picked : int
        The painted number the brush should use; 0 erases.
    changed : tuple of ClassInfo
        The classes after an edit.
    """

    picked = Signal(int)
    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.classes: tuple[ClassInfo, ...] = ()
        self._rows: dict[int, ClassRow] = {}
        self._background = True
        self._group = QButtonGroup(self)
        self.eraser = QRadioButton("Erase annotation")
        self.eraser.setToolTip("Painting takes strokes back: not annotated again")
        self.eraser.clicked.connect(lambda: self.picked.emit(0))
        self.add_button = QPushButton("+ Add a class")
        self.add_button.clicked.connect(self._add)
        self._list = QVBoxLayout()
        self._list.setSpacing(2)
        foot = QHBoxLayout()
        foot.addWidget(self.eraser, 1)
        self._eraser_key = QLabel("key 0")
        foot.addWidget(self._eraser_key)
        foot.addWidget(self.add_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._list)
        layout.addLayout(foot)

    def show_classes(self, classes: Sequence[ClassInfo], current: int = 2) -> None:
        """Show these classes, with one of them chosen."""
        self.classes = tuple(classes)
        for row in self._rows.values():
            self._group.removeButton(row.radio)
            self._list.removeWidget(row)
            row.setParent(None)
            row.deleteLater()
        self._rows = {}
        self._group.addButton(self.eraser)
        for number, info in enumerate(self.classes, 1):
            row = ClassRow(info, str(number) if number < 10 else "")
            row.picked.connect(self.picked)
            row.changed.connect(self._replace)
            row.removed.connect(self._remove)
            self._group.addButton(row.radio)
            self._list.addWidget(row)
            row.setVisible(self._shows(info))
            self._rows[info.value] = row
        self.set_current(current)

    def show_background(self, visible: bool) -> None:
        """Show the background and the eraser, or hide them where nothing is painted."""
        self._background = visible
        for row in self._rows.values():
            row.setVisible(self._shows(row.info))
        for widget in (self.eraser, self._eraser_key):
            widget.setVisible(visible)

    def _shows(self, info: ClassInfo) -> bool:
        return self._background or not info.background

    def at_key(self, number: int) -> int | None:
        """Return the painted number that a digit picks, None where none is shown."""
        if number == 0:
            return 0 if self._background else None
        if number > len(self.classes):
            return None
        info = self.classes[number - 1]
        return info.value if self._shows(info) else None

    def set_current(self, value: int) -> None:
        """Mark the class that the brush paints; unknown numbers mark none."""
        if value == 0:
            self.eraser.setChecked(True)
        elif value in self._rows:
            self._rows[value].radio.setChecked(True)

    def current(self) -> int:
        """Return the painted number that is marked; 0 for the eraser."""
        for value, row in self._rows.items():
            if row.radio.isChecked():
                return value
        return 0

    def _add(self) -> None:
        value = max((c.value for c in self.classes), default=0) + 1
        if value > MOST:
            return
        info = ClassInfo(
            value=value, name=f"class {value}", colour=default_colour(value)
        )
        self._edit((*self.classes, info), value)
        row = self._rows[value]
        row.name.setFocus(Qt.FocusReason.OtherFocusReason)
        row.name.selectAll()
        self.picked.emit(value)

    def _replace(self, info: ClassInfo) -> None:
        changed = []
        for c in self.classes:
            if c.value == info.value:
                changed.append(info)
            elif info.background and c.background:
                changed.append(c.model_copy(update={"background": False}))
            else:
                changed.append(c)
        self._edit(tuple(changed), self.current())

    def _remove(self, value: int) -> None:
        if len(self.classes) > 2:
            rest = tuple(c for c in self.classes if c.value != value)
            self._edit(rest, rest[0].value)
            self.picked.emit(rest[0].value)

    def _edit(self, classes: tuple[ClassInfo, ...], current: int) -> None:
        self.show_classes(classes, current)
        self.changed.emit(classes)
