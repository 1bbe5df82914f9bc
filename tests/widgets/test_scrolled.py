"""What scrolls up and down is not cut off at its side."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_fcn.widgets.scrolled import Scrolled


def test_it_is_as_wide_as_what_it_scrolls(qtbot):
    inner, button = QWidget(), QPushButton("short")
    column = QVBoxLayout(inner)
    column.addWidget(button)
    scrolled = Scrolled(inner)
    qtbot.addWidget(scrolled)
    scrolled.resize(10, 10)
    scrolled.show()
    narrow = scrolled.width()
    button.setText("a button with many words that nobody may cut off")
    qtbot.waitUntil(lambda: scrolled.width() > narrow)
    assert scrolled.viewport().width() >= inner.minimumSizeHint().width()
