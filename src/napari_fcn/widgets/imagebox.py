"""Step one of the dock: which image, and what its axes mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_fcn.errors import UserError
from napari_fcn.widgets.reader import read
from napari_fcn.widgets.reading import axes_choices, check_names, describe
from napari_fcn.widgets.scene import only_images

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_fcn.widgets.scene import Scene

_AXES_HELP = (
    "One letter per axis: T time, Z slices, C channels, Y rows, X columns.\n"
    "Channels enter the network together; times and slices are separate pictures."
)


class ImageBox(QWidget):
    """Chooses an Image layer of the viewer, or opens a file.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    scene : Scene
        Whose own layers are not offered.
    """

    started = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, scene: Scene) -> None:
        super().__init__()
        self._viewer = viewer
        self._scene = scene
        self._layers: list[Image] = []
        self.choice = QComboBox()
        self.choice.setMinimumContentsLength(12)
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip("Open an image file")
        self.axes = QComboBox()
        self.axes.setEditable(True)
        self.axes.setToolTip(_AXES_HELP)
        self.axes.setMaximumWidth(90)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.start_button = QPushButton("Start labelling")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.choice, 0, 0)
        layout.addWidget(self.open_button, 0, 1)
        layout.addWidget(self.about, 1, 0)
        layout.addWidget(self.axes, 1, 1)
        layout.addWidget(self.start_button, 2, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.axes.currentTextChanged.connect(lambda _: self._describe())
        self.open_button.clicked.connect(self._open)
        self.start_button.clicked.connect(self.started)
        viewer.layers.events.inserted.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        viewer.layers.events.renamed.connect(self.refresh)
        scene.opened.connect(self._on_opened)
        self.refresh()

    def layer(self) -> Image | None:
        """Return the chosen layer."""
        index = self.choice.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def names(self) -> str:
        """Return what the user says the axes are; one letter each."""
        return str(self.axes.currentText()).strip().upper()

    def choose(self, layer: Image) -> None:
        """Choose a layer."""
        if layer in self._layers:
            self.choice.setCurrentIndex(self._layers.index(layer))

    def refresh(self, _event: object = None) -> None:
        """List the Image layers anew; the choice stays where it can."""
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        before = self.layer()
        layers = only_images(self._viewer, self._scene)
        if layers == self._layers and [x.name for x in layers] == self._texts():
            return
        self._layers = layers
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.addItems([layer.name for layer in layers])
            if before in layers:
                self.choice.setCurrentIndex(layers.index(before))
            elif layers:
                self.choice.setCurrentIndex(len(layers) - 1)
        if self.layer() is not before or not layers:
            self._on_choice()

    def _on_opened(self) -> None:
        """Show what is worked on, with the axes that it was said to have."""
        if isalive(self) and self._scene.layer is not None:
            self.choose(self._scene.layer)
            self._on_choice()

    def _texts(self) -> list[str]:
        return [self.choice.itemText(i) for i in range(self.choice.count())]

    def _on_choice(self) -> None:
        layer = self.layer()
        self.start_button.setEnabled(layer is not None)
        # A plain picture leaves nothing to say about its axes.
        self.axes.setVisible(layer is not None and layer.ndim > 2)
        with QSignalBlocker(self.axes):
            self.axes.clear()
            if layer is not None:
                try:
                    self.axes.addItems(self._axes_of(layer))
                except UserError as error:
                    self.failed.emit(str(error))
        self._describe()

    def _axes_of(self, layer: Image) -> tuple[str, ...]:
        """Return what its axes may be: first what they were said to be."""
        known = self._scene.names_of(layer)
        choices = axes_choices(layer)
        return (known, *(c for c in choices if c != known)) if known else choices

    def _describe(self) -> None:
        layer = self.layer()
        names = self.names()
        if layer is None:
            self.about.setText("Open an image, or drop a file on the viewer.")
            return
        try:
            check_names(layer, names)
        except UserError:
            self.about.setText(f"Name its {layer.ndim} axes, one letter each →")
        else:
            self.about.setText(describe(layer, names, self._scene.axes_of(layer)))

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open an image")
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Open an image file as a layer with its scale and units."""
        try:
            data, options, _ = read(path)[0]
        except UserError as error:
            self.failed.emit(str(error))
            return
        layer = Image(data, **options)
        self._viewer.add_layer(layer)
        self.choose(layer)
