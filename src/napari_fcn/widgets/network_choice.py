"""Choosing a network, its settings and a loss, each with a word on what it is."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.config.catalogue import LOSS_WORDS, NETWORK_WORDS
from napari_fcn.widgets.encoder_file import EncoderFile
from napari_fcn.widgets.forms import Form
from napari_fcn.widgets.pieces import heading, note

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = {
    "ndim": "Learn in",
    "depth": "Depth (levels)",
    "layers": "Layers",
    "width": "Width (channels)",
    "coordinates": "Tell it the place of pixels",
    "encoder": "Encoder",
    "scales": "Sizes it sees the image in",
    "photo_features": "Features of photographs",
    "filter_features": "Fixed filters beside them",
    "flat_levels": "Flat levels (3D)",
    "batch_norm": "Batch normalisation",
    "skips": "Join levels (skips)",
    "down": "Make smaller by",
    "up": "Make larger by",
    "residual": "Residual blocks",
    "deep_supervision": "Deep supervision",
}
_MAIN = ("ndim", "depth", "layers", "width", "coordinates", "encoder")
_SMALL = "color: #aaa;"
_ALWAYS = ("ndim", "coordinates")
_IF_WANTED = (("auto", None), ("yes", True), ("no", False))
_CHOICES: dict[str, tuple[Any, ...]] = {
    "ndim": (("2D, slice by slice", 2), ("3D, whole volumes", 3)),
    "photo_features": _IF_WANTED,
    "filter_features": _IF_WANTED,
    "down": (("maxima (pooling)", "pool"), ("strided convolution", "stride")),
    "up": (
        ("transposed convolution", "transpose"),
        ("repeating pixels", "nearest"),
        ("where the maxima were", "indices"),
    ),
}
_OWN_LOSS = {
    "density": "Counting has a loss of its own: of the density in each pixel, and of "
    "the number of objects in blocks.",
    "regression": "It follows from what is predicted of the target, which is chosen in "
    "Label & Train.",
}


class NetworkChoice(QWidget):
    """A network with its settings, and a loss where it is chosen with the network.

    Attributes
    ----------
    form : Form
        The settings that make a difference to the chosen network.
    encoder_file : EncoderFile
        Where the weights of an encoder come from, for networks that have one.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.network = _combo(_networks())
        self.about_network = note(style=_SMALL)
        self.encoder_file = EncoderFile()
        self.every = QCheckBox("All settings")
        self.loss = _combo((n, w.title) for n, w in LOSS_WORDS.items())
        self.about_loss = note(style=_SMALL)
        self._own_loss = ""
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.network)
        self._column.addWidget(self.about_network)
        self._place = self._column.count()
        self._column.addWidget(self.encoder_file)
        self._column.addWidget(self.every)
        self._column.addWidget(heading("Loss: what counts as an error"))
        self._column.addWidget(self.loss)
        self._column.addWidget(self.about_loss)
        self.form: Form[NetworkConfig]
        self._make_form(NetworkConfig())
        self._show_loss()
        self.network.currentIndexChanged.connect(self._on_network)
        self.loss.currentIndexChanged.connect(self._on_loss)
        self.every.toggled.connect(self._show_rows)
        self.encoder_file.changed.connect(self.changed)

    def value(self) -> tuple[NetworkConfig, dict[str, str]]:
        """Return the network, and what else is chosen of `TrainingConfig`.

        Raises
        ------
        UserError
            If settings do not go together.
        """
        network = self.form.value()
        path = self.encoder_file.path if _has_encoder(network) else ""
        loss = str(self.loss.currentData())
        return network, {"loss": loss, "encoder_weights": path}

    def load(self, network: NetworkConfig, training: TrainingConfig) -> None:
        """Show these settings."""
        self.show_network(network)
        with QSignalBlocker(self.loss):
            _choose(self.loss, training.loss)
        self.encoder_file.show_path(training.encoder_weights)
        self._show_loss()
        self.changed.emit()

    def show_task(self, task: str) -> None:
        """Offer the losses of the task, or say where they are."""
        self._own_loss = _OWN_LOSS.get(task, "")
        self.loss.setVisible(not self._own_loss)
        self._show_loss()

    def show_network(self, network: NetworkConfig) -> None:
        """Show another network."""
        with QSignalBlocker(self.network):
            _choose(self.network, network.name)
        self._make_form(network)
        self.changed.emit()

    def _on_network(self) -> None:
        """Start from the presets of the network; its dimension stays."""
        before = self.form.container["ndim"].value
        name = self.network.currentData()
        self._make_form(NetworkConfig.model_validate({"name": name, "ndim": before}))
        self.changed.emit()

    def _on_loss(self) -> None:
        self._show_loss()
        self.changed.emit()

    def _make_form(self, network: NetworkConfig) -> None:
        """Make a form of what this network has a use for."""
        known = NETWORK_WORDS.get(network.name)
        used = (*_ALWAYS, *(known.settings if known else ()))
        fields = {name: words for name, words in _WORDS.items() if name in used}
        if hasattr(self, "form"):
            old = self.form.container.native
            self._column.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.form = Form(network, fields, _CHOICES)
        self.form.container.native.layout().setContentsMargins(0, 0, 0, 0)
        self._column.insertWidget(self._place, self.form.container.native)
        self.form.container.changed.connect(lambda _: self.changed.emit())
        self._show_rows()
        self.encoder_file.setVisible(_has_encoder(network))
        text = f"{known.about} <i>({known.source})</i>" if known else ""
        self.about_network.setText(text)

    def _show_rows(self) -> None:
        """Show the settings that matter most, or all."""
        rest = [c for c in self.form.container if c.name not in _MAIN]
        for control in rest:
            control.visible = self.every.isChecked()
        self.every.setVisible(bool(rest))

    def _show_loss(self) -> None:
        if self._own_loss:
            self.about_loss.setText(self._own_loss)
            return
        words = LOSS_WORDS.get(str(self.loss.currentData()))
        if words is None:
            self.about_loss.setText("A loss of your own.")
            return
        source = f" <i>({words.source})</i>" if words.source else ""
        self.about_loss.setText(words.about + source)


def _has_encoder(network: NetworkConfig) -> bool:
    words = NETWORK_WORDS.get(network.name)
    return words is not None and "encoder" in words.settings


def _networks() -> Iterable[tuple[str, str]]:
    missing = importlib.util.find_spec("timm") is None
    return (
        (name, words.title)
        for name, words in NETWORK_WORDS.items()
        if not (missing and name == "unet-pretrained")
    )


def _combo(items: Iterable[tuple[str, str]]) -> QComboBox:
    combo = QComboBox()
    for name, title in items:
        combo.addItem(title, name)
    combo.setMinimumContentsLength(16)
    combo.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    return combo


def _choose(combo: QComboBox, name: str) -> None:
    """Choose an item by its data, and add it if need be."""
    if combo.findData(name) < 0:
        combo.addItem(name, name)
    combo.setCurrentIndex(combo.findData(name))
