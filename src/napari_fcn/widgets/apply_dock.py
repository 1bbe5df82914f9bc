"""The dock "Apply": predict the whole image and save the masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_fcn.errors import UserError
from napari_fcn.widgets.host import Host, host_of, tabify
from napari_fcn.widgets.imagebox import ImageBox
from napari_fcn.widgets.scrolled import scrolled_column

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_fcn.workbench.protocol import JobFinished
    from napari_fcn.workbench.status import Status

_FORMATS = (
    "TIFF with axes and scale (*.tif);;PNG (*.png);;OME-Zarr (*.zarr);;NPY (*.npy)"
)
_COUNTS = "Table of counts (*.csv)"
_IMAGES = "TIFF with axes and scale (*.tif);;OME-Zarr (*.zarr);;NPY (*.npy)"
_SUFFIXES = (".tif", ".tiff", ".png", ".zarr", ".npy", ".csv")
_RESULTS = {"segmentation": "masks", "density": "counts", "regression": "images"}
_LOOK = {
    "segmentation": "Done: look at the masks, then save them.",
    "density": "Done: look at the density, then save the counts or the map itself.",
    "regression": "Done: look at the predicted images, then save them.",
}
_JOBS = {"copy": "Copying", "apply": "Predicting", "export": "Saving"}


class ApplyDock(QWidget):
    """Predicts a whole image, with progress and cancel, and saves the result.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer.
    host : Host, optional
        The viewer's host; found, or made, by default.
    """

    def __init__(self, napari_viewer: ViewerModel, host: Host | None = None) -> None:
        super().__init__()
        host = host or host_of(napari_viewer)
        self.workbench, self.scene = host.workbench, host.scene
        self._model: Path | None = None
        self.image_box = ImageBox(host.viewer, host.scene)
        self.image_box.start_button.hide()
        self.model_choice = QComboBox()
        self.model_choice.addItems(["The network trained here", "A model file…"])
        self.apply_button = QPushButton("Predict the whole image")
        self.apply_button.setStyleSheet(
            "font-size: 13pt; font-weight: bold; padding: 6px;"
        )
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.cancel_button = QPushButton("Cancel")
        self.save_button = QPushButton("Save the masks…")
        self.save_button.setToolTip(
            "TIFF, PNG or OME-Zarr; axes and scale are those of the image"
        )
        self.message = QLabel()
        self.message.setWordWrap(True)
        self._lay_out()
        self._connect()
        self._show_task(self.workbench.task)
        QTimer.singleShot(0, lambda: tabify(self))

    def apply(self) -> None:
        """Predict the chosen image as a whole."""
        layer = self.image_box.layer()
        if layer is None:
            self.message.setText("Open an image first.")
            return
        try:
            image = self.scene.work_on(layer, self.image_box.names())
            self.workbench.apply(image, self._model)
        except UserError as error:
            self.message.setText(str(error))
        else:
            self.message.setText("")

    def save_to(self, path: Path) -> None:
        """Save the masks; the suffix of the name decides the format."""
        if self.scene.image is None:
            self.message.setText("Predict the whole image first.")
            return
        if path.suffix.lower() not in _SUFFIXES:
            path = path.with_name(f"{path.name}.tif")
        try:
            self.workbench.export(self.scene.image, path)
        except UserError as error:
            self.message.setText(str(error))

    def _lay_out(self) -> None:
        column = scrolled_column(self)
        for title, widget in (
            ("Image", self.image_box),
            ("Network", self.model_choice),
        ):
            label = QLabel(title)
            label.setStyleSheet("font-weight: bold; margin-top: 5px;")
            column.addWidget(label)
            column.addWidget(widget)
        column.addSpacing(8)
        column.addWidget(self.apply_button)
        row = QHBoxLayout()
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel_button)
        column.addLayout(row)
        column.addWidget(self.save_button)
        column.addWidget(self.message)
        column.addStretch(1)
        self.setMinimumWidth(320)

    def _connect(self) -> None:
        self.model_choice.activated.connect(self._choose_model)
        self.apply_button.clicked.connect(self.apply)
        self.cancel_button.clicked.connect(self.workbench.cancel_job)
        self.save_button.clicked.connect(self._ask_where)
        self.image_box.failed.connect(self.message.setText)
        self.workbench.status_changed.connect(self._show_status)
        self.workbench.task_changed.connect(self._show_task)
        self.workbench.job_finished.connect(self._on_finished)

    def _choose_model(self, index: int) -> None:
        if index == 0:
            self._model = None
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", filter="Models (*.safetensors)"
        )
        if path:
            self.use_model(Path(path))
        else:
            self.model_choice.setCurrentIndex(0)

    def use_model(self, path: Path) -> None:
        """Apply this model file in place of the network trained here."""
        self._model = path
        self.model_choice.setItemText(1, path.name)
        self.model_choice.setCurrentIndex(1)

    def _ask_where(self) -> None:
        name = self.scene.image.name if self.scene.image is not None else "image"
        task, suffix = self.workbench.task, ".tif"
        what, formats = _RESULTS.get(task, "masks"), _FORMATS
        if task != "segmentation":
            formats = _IMAGES
        if task == "density":
            suffix, formats = ".csv", f"{_COUNTS};;{_IMAGES}"
        path, chosen = QFileDialog.getSaveFileName(
            self, f"Save the {what}", f"{name}-{what}{suffix}", formats
        )
        if path:
            target = Path(path)
            if target.suffix.lower() not in _SUFFIXES:
                suffix = chosen.split("*")[1].rstrip(")") if "*" in chosen else ".tif"
                target = target.with_name(target.name + suffix)
            self.save_to(target)

    def _show_status(self, status: Status) -> None:
        busy = bool(status.job)
        self.apply_button.setEnabled(not busy)
        self.save_button.setEnabled(not busy and self._is_there())
        self.cancel_button.setEnabled(busy)
        self.progress.setEnabled(busy)
        self.progress.setValue(round(1000 * status.share))
        self.progress.setFormat(
            f"{_JOBS[status.job]} %p %" if busy else "nothing under way"
        )

    def _on_finished(self, event: JobFinished) -> None:
        texts = {
            "cancelled": "Cancelled; nothing was written.",
            "failed": event.message,
            "done": _LOOK.get(self.workbench.task, "Done.")
            if event.job == "apply"
            else f"Saved {event.path}",
        }
        self.message.setText(texts[event.reason])
        self.save_button.setEnabled(self._is_there())

    def _is_there(self) -> bool:
        """Tell whether something can be saved."""
        if self.workbench.task == "segmentation":
            return self.scene.masks is not None
        image = self.scene.image
        return image is not None and self.workbench.whole(image).is_dir()

    def _show_task(self, task: str) -> None:
        """Name the results as the task has it."""
        if isalive(self):
            self.save_button.setText(f"Save the {_RESULTS.get(task, 'masks')}…")
            self._show_status(self.workbench.status)
