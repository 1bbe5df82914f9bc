"""The settings that most users never open, as forms made from their fields."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_fcn.config import (
    AugmentationConfig,
    NetworkConfig,
    TrainingConfig,
    usual_augmentation,
)
from napari_fcn.config.catalogue import LOSS_WORDS
from napari_fcn.widgets.forms import Form

_NETWORK = {
    "ndim": "Learn in",
    "width": "Width (channels)",
    "depth": "Depth (levels)",
    "flat_levels": "Flat levels (3D)",
}
_TRAINING = {
    "loss": "Loss",
    "learning_rate": "Learning rate",
    "crop": "Crop size (pixels)",
    "batch": "Crops per step",
    "held_out": "Strokes kept for scoring",
    "device": "Device",
    "precision": "Precision",
    "seed": "Seed",
}
_AUGMENTATION = {
    "flip": "Flip",
    "rotate": "Rotate",
    "scale": "Zoom",
    "elastic": "Elastic (pixels)",
    "brightness": "Brightness",
    "contrast": "Contrast",
    "each_channel": "Light of each channel",
    "noise": "Noise",
    "blur": "Blur (pixels)",
    "overlay": "Crops over each other",
}
_FOR_ALL = frozenset(_AUGMENTATION) - {"overlay"}
_USED: dict[str, frozenset[str]] = {
    "density": frozenset(_AUGMENTATION),
    "regression": frozenset({"flip", "rotate"}),
}
"""How a task varies crops, where that is not what most of them do."""
_KEPT = {
    "density": "Dotted areas kept for scoring",
    "regression": "Trusted areas kept for scoring",
}
_CHOICES = {
    "ndim": (("2D, slice by slice", 2), ("3D, whole volumes", 3)),
    "loss": tuple((words.title, name) for name, words in LOSS_WORDS.items()),
}


class Settings(QWidget):
    """Forms for network, training and augmentation."""

    def __init__(self) -> None:
        super().__init__()
        self._usual = AugmentationConfig()
        self.network = Form(NetworkConfig(), _NETWORK, _CHOICES)
        self.training = Form(TrainingConfig(), _TRAINING, _CHOICES)
        self.augmentation = Form(AugmentationConfig(), _AUGMENTATION)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for title, form in (
            ("Network", self.network),
            ("Training", self.training),
            ("How crops are varied", self.augmentation),
        ):
            layout.addWidget(QLabel(title))
            layout.addWidget(form.container.native)

    def value(self) -> tuple[NetworkConfig, TrainingConfig]:
        """Return the settings; raises `UserError` if they do not go together."""
        training = self.training.value()
        return (
            self.network.value(),
            training.model_copy(update={"augmentation": self._chosen()}),
        )

    def _chosen(self) -> AugmentationConfig | None:
        """Return how crops are varied, or None if that is as usual."""
        shown = self.augmentation.value()
        return None if shown == self._usual else shown

    def show_task(self, task: str) -> None:
        """Show what the task has a use for; the loss of others is chosen elsewhere."""
        self.training.container["loss"].visible = task == "segmentation"
        kept = _KEPT.get(task, _TRAINING["held_out"])
        self.training.container["held_out"].label = kept
        for control in self.augmentation.container:
            control.visible = control.name in _USED.get(task, _FOR_ALL)
        chosen, self._usual = self._chosen(), usual_augmentation(task)
        self.augmentation.show(chosen or self._usual)

    def load(self, network: NetworkConfig, training: TrainingConfig) -> None:
        """Show these settings."""
        self.network.show(network)
        self.training.show(training)
        self.augmentation.show(training.augmentation or self._usual)
