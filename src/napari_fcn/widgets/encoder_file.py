"""Choosing the file that the weights of an encoder come from."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QToolButton, QWidget

_DOWNLOADED = "Weights: downloaded…"


class EncoderFile(QWidget):
    """Chooses the file that an encoder's weights come from, in place of a download.

    Attributes
    ----------
    path : str
        The file; empty for a download.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        self.button = QPushButton(_DOWNLOADED)
        self.button.clicked.connect(self.ask)
        self.forget = QToolButton()
        self.forget.setText("×")
        self.forget.setToolTip("Download them again instead")
        self.forget.clicked.connect(lambda: self.choose(""))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button, 1)
        row.addWidget(self.forget)
        self.show_path("")

    def ask(self) -> None:
        """Let the user choose a file."""
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Weights of the encoder",
            self.path,
            "Weights (*.safetensors *.pth *.pt *.bin);;All files (*)",
        )
        if path:
            self.choose(path)

    def choose(self, path: str) -> None:
        """Take another file, or none."""
        self.show_path(path)
        self.changed.emit()

    def show_path(self, path: str) -> None:
        """Show what was chosen."""
        self.path = path
        self.button.setText(f"Weights: {Path(path).name}" if path else _DOWNLOADED)
        self.button.setToolTip(
            path
            or "Click to take weights of this encoder from a file on this computer:\n"
            "safetensors, or a state dict of PyTorch"
        )
        self.forget.setVisible(bool(path))
