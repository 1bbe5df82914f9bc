"""Small pieces that all docks are made of, so that they look alike."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

_HEADING = "font-weight: bold; margin-top: 5px;"


def heading(text: str) -> QLabel:
    """Return a heading."""
    label = QLabel(text)
    label.setStyleSheet(_HEADING)
    return label


def note(text: str = "", style: str = "") -> QLabel:
    """Return text that is broken into lines as needed."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet(style)
    return label


def button(text: str, tip: str = "") -> QPushButton:
    """Return a button that says more when the cursor rests on it."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def row(*widgets: QWidget, wide: int | None = None) -> QHBoxLayout:
    """Return widgets side by side.

    Parameters
    ----------
    *widgets : QWidget
        From left to right.
    wide : int, optional
        Which of them takes all the room that is left; shared by default.
    """
    layout = QHBoxLayout()
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, int(number == wide))
    return layout


def short_path(folder: Path) -> str:
    """Return a path as people write it, ``~`` for their home."""
    home = Path.home()
    inside = folder.is_relative_to(home)
    return f"~/{folder.relative_to(home)}" if inside else str(folder)
