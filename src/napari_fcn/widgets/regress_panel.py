"""What the dock shows for image to image: targets, trusted areas, agreement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from napari_fcn.config import BLIND_SPOT, HETEROSCEDASTIC
from napari_fcn.errors import UserError
from napari_fcn.widgets.pieces import button, note, row
from napari_fcn.widgets.reader import read
from napari_fcn.widgets.reading import path_of, pixels_of
from napari_fcn.widgets.scene import only_images

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_fcn.data.axes import Axes
    from napari_fcn.engine.events import Scored
    from napari_fcn.project import ProjectImage
    from napari_fcn.widgets.scene import Scene

_WAYS = (
    ("its mean (squared error)", "l2"),
    ("its median (absolute error)", "l1"),
    ("its structure (SSIM and absolute error)", "l1+ssim"),
    ("its structure only (SSIM)", "ssim"),
    ("its mean and where it is unsure", HETEROSCEDASTIC),
    ("itself without noise (no target needed)", BLIND_SPOT),
)
_HELP = (
    "Choose the image that shall be made of this one, such as a stain, or a clean or "
    "sharp picture of the same place."
)
_UNSURE = (
    " A further layer, hidden at first, shows by how much the prediction may be off "
    "(standard deviation, in the units of the target)."
)
_BLIND = (
    "No target is needed: the network guesses hidden pixels from their neighbours, "
    "which noise that differs from pixel to pixel does not allow."
)


class RegressPanel(QWidget):
    """Chooses targets and where they are trusted, and shows how well it goes.

    Parameters
    ----------
    scene : Scene
        The image that is worked on.

    Attributes
    ----------
    agreement : QLabel
        Measures on regions that were held out, for another place in the dock.
    """

    failed = Signal(str)

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene, self.workbench = scene, scene.workbench
        self._layers: list[Image] = []
        self._listed: tuple[ProjectImage, ...] = ()
        self.agreement = note("Agreement appears with the first score.")
        self._make_controls()
        viewer = scene.viewer
        viewer.layers.events.inserted.connect(lambda _: self.list_layers())
        viewer.layers.events.removed.connect(lambda _: self.list_layers())
        self.workbench.scored.connect(self._on_scored)
        self.workbench.annotated.connect(self._on_annotated)
        self.list_layers()

    def add_target(self) -> None:
        """Let the chosen layer be made of the image."""
        index = self.choice.currentIndex()
        if not 0 <= index < len(self._layers):
            self.failed.emit("Open the target as an Image layer first, or a file.")
            return
        layer = self._layers[index]
        self._add(layer, pixels_of(layer), layer.name, path_of(layer))

    def open_target(self, path: Path | None = None) -> None:
        """Open a file as a target."""
        if path is None:
            chosen, _ = QFileDialog.getOpenFileName(self, "Open a target")
            if not chosen:
                return
            path = Path(chosen)
        try:
            opened = read(path)
        except UserError as error:
            self.failed.emit(str(error))
            return
        for data, options, _kind in opened:
            layer = self.scene.viewer.add_image(data, **options)
            for one in layer if isinstance(layer, list) else [layer]:
                self._add(one, pixels_of(one), one.name, path)

    def remove_targets(self) -> None:
        """Take the selected targets of the image away; their files stay."""
        chosen = {self.list.row(item) for item in self.list.selectedItems()}
        image = self.scene.image
        if image is None or not chosen:
            return
        try:
            self.workbench.remove_targets(image.key, chosen)
        except UserError as error:
            self.failed.emit(str(error))

    def choose_way(self) -> None:
        """Learn by another loss from the next start on."""
        project = self.workbench.project
        if project is None:
            return
        settings = project.record.image_to_image
        changed = settings.model_copy(update={"loss": self.way.currentData()})
        if changed != settings:
            try:
                self.workbench.set_image_to_image(changed)
            except UserError as error:
                self.failed.emit(str(error))
        self._show_way()
        self._show_predictions()

    def load(self) -> None:
        """Show what the project says."""
        project, image = self.workbench.project, self.scene.image
        if project is None or image is None:
            return
        with QSignalBlocker(self.way):
            loss = project.record.image_to_image.loss
            self.way.setCurrentIndex(max(0, self.way.findData(loss)))
        self._show_way()
        self._show_targets()

    def list_layers(self) -> None:
        """Offer the Image layers that may be targets."""
        viewer, own = self.scene.viewer, self.scene.layer
        chosen = self.choice.currentText()
        self._layers = [x for x in only_images(viewer, self.scene) if x is not own]
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.addItems([x.name for x in self._layers])
            self.choice.setCurrentIndex(max(0, self.choice.findText(chosen)))
        self.add_button.setEnabled(bool(self._layers))

    def _make_controls(self) -> None:
        self.way = QComboBox()
        for words, loss in _WAYS:
            self.way.addItem(words, loss)
        self.help = note(_HELP)
        self.choice = QComboBox()
        self.choice.setMinimumContentsLength(12)
        self.add_button = button("Use as target")
        self.open_button = button("Open…")
        self.list = QListWidget()
        self.list.setMaximumHeight(64)
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.remove_button = button("Remove")
        self.area_button = button(
            "Draw a trusted area",
            "Learn only inside of drawn areas; everywhere if there is none",
        )
        self.target_box = QWidget()
        grid = QGridLayout(self.target_box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.choice, 0, 0)
        grid.addWidget(self.add_button, 0, 1)
        grid.addWidget(self.open_button, 0, 2)
        grid.addWidget(self.list, 1, 0, 1, 2)
        grid.addWidget(self.remove_button, 1, 2)
        grid.setColumnStretch(0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(QLabel("Predict"), self.way, wide=1))
        column.addWidget(self.help)
        column.addWidget(self.target_box)
        column.addWidget(self.area_button)
        self.way.activated.connect(self.choose_way)
        self.add_button.clicked.connect(self.add_target)
        self.open_button.clicked.connect(lambda: self.open_target())
        self.list.itemSelectionChanged.connect(self._show_removable)
        self.remove_button.clicked.connect(self.remove_targets)
        self.area_button.clicked.connect(self._draw)

    def _add(self, layer: Image, data: object, name: str, path: Path | None) -> None:
        image = self.scene.image
        if image is None:
            self.failed.emit("Choose the image first, and press Start.")
            return
        try:
            axes = target_axes(image, layer)
            self.workbench.add_target(image, data, axes, name, path)
        except UserError as error:
            self.failed.emit(str(error))

    def _draw(self) -> None:
        if self.scene.targets is not None:
            self.scene.targets.draw("areas", "add_polygon")

    def _on_annotated(self, key: str) -> None:
        """Follow targets that were added, removed or put in another order."""
        image = self.scene.image
        if not isalive(self) or image is None or image.key != key:
            return
        if self._targets() != self._listed:
            self._show_targets()
            self._show_predictions()

    def _targets(self) -> tuple[ProjectImage, ...]:
        image = self.scene.image
        return self.workbench.targets(image.key).targets if image else ()

    def _show_targets(self) -> None:
        try:
            self._listed = self._targets()
        except UserError as error:
            self._listed = ()
            self.failed.emit(str(error))
        self.list.clear()
        self.list.addItems([_line(target) for target in self._listed])
        if not self._listed:
            self.list.addItem("no target yet")
            self.list.item(0).setFlags(Qt.ItemFlag.NoItemFlags)
        self._show_removable()

    def _show_removable(self) -> None:
        chosen = bool(self.list.selectedItems())
        self.remove_button.setEnabled(chosen)
        self.remove_button.setToolTip(
            "" if chosen or not self._listed else "Select a target in the list first"
        )

    def _show_way(self) -> None:
        way = self.way.currentData()
        self.target_box.setVisible(way != BLIND_SPOT)
        unsure = _UNSURE if way == HETEROSCEDASTIC else ""
        self.help.setText(_BLIND if way == BLIND_SPOT else _HELP + unsure)

    def _show_predictions(self) -> None:
        if self.scene.targets is not None and self.workbench.task == "regression":
            self.scene.targets.rescale()
            self.scene.targets.show_predictions(self.scene.classes())

    def _on_scored(self, event: Scored) -> None:
        if self.workbench.task != "regression":
            return
        where = "areas it has never seen" if event.held_out else "what it has learned"
        parts = [f"{name} r {value:.3f}" for name, value in event.per_class.items()]
        if "PSNR" in event.details:
            parts.append(f"PSNR {event.details['PSNR']:.1f} dB")
            parts.append(f"SSIM {event.details['SSIM']:.3f}")
        self.agreement.setText(f"On {where}: " + " · ".join(parts))


def _line(target: ProjectImage) -> str:
    """Return what the list says of a target."""
    channel = target.axes.axes().channel
    count = 1 if channel is None else target.shape[channel]
    return f"→ {target.name}" + (f" ({count} channels)" if count > 1 else "")


def target_axes(image: ProjectImage, layer: Image) -> Axes:
    """Return the axes of a target: those of the labels, or of the image itself.

    Raises
    ------
    UserError
        If it has neither's number of axes.
    """
    own, labels = image.axes.axes(), image.label_axes
    shape = tuple(pixels_of(layer).shape)
    if layer.rgb and len(shape) == len(labels) + 1:
        return type(own)(
            labels.names + "S",
            (*labels.scale, 1.0),
            (*labels.units, "pixel"),
            (*labels.translate, 0.0),
        )
    if shape == image.label_shape:
        return labels
    if len(shape) == len(own) and own.channel is not None:
        return own
    if len(shape) == len(labels) + 1 and shape[1:] == image.label_shape:
        return labels.with_channels()
    raise UserError(
        f"The target {layer.name} has shape {shape} but {image.name} has "
        f"{image.label_shape}, channels left out; choose the target of this image."
    )
