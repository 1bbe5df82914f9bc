"""The dock "Correct": wrong spots, areas, testing, strokes from elsewhere, and next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.compat import isalive
from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QWidget,
)

from napari_fcn.data.readers import open_image
from napari_fcn.errors import UserError
from napari_fcn.widgets.corrections import Corrections
from napari_fcn.widgets.host import Host, host_of, tabify
from napari_fcn.widgets.opening import show_image
from napari_fcn.widgets.pieces import button, heading, note, row
from napari_fcn.widgets.scrolled import scrolled_column
from napari_fcn.widgets.view import go_to
from napari_fcn.workbench.importing import take_from_project
from napari_fcn.workbench.protocol import UNCERTAINTY

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.protocol import Suggested

_THEN = {
    "segmentation": "paint in it what is right",
    "density": "put a dot on every object in it",
}


class CorrectDock(QWidget):
    """Ways to say what is right other than by strokes.

    Parameters
    ----------
    napari_viewer : ViewerModel
        The viewer.
    host : Host, optional
        The viewer's host; found, or made, by default.
    """

    def __init__(self, napari_viewer: ViewerModel, host: Host | None = None) -> None:
        super().__init__()
        self.host = host or host_of(napari_viewer)
        self.workbench, self.scene = self.host.workbench, self.host.scene
        self.corrections = Corrections(self.scene)
        self._hooked: Any = None
        self._shown: ProjectImage | None = None
        self.next_button = button(
            "Next place to paint", "Where the network is unsure, and nothing is painted"
        )
        self.unsure_check = QCheckBox("Show where the network is unsure")
        self.spot_button = button("Click on spots", "Press again to end")
        self.spot_button.setCheckable(True)
        self.spot_class = QComboBox()
        self.draw_button = button("Draw areas", "Polygons; or choose another shape")
        self.take_button = button("Take over", "The prediction inside")
        self.area_class = QComboBox()
        self.fill_button = button("Rest is background", "All that is not painted in it")
        self.test_button = button("Drawn areas", "Nothing inside is learned from")
        self.learn_button = button("Learn from all", "Nothing is for testing only")
        self.test_check = QCheckBox("This whole image is for testing only")
        self.import_button = button("Strokes of another project…", "Same image")
        self.mask_button = button("Mask from a layer", "0 in it is background")
        self.file_button = button("Mask from a file…", "0 in it is background")
        self.message = QLabel()
        self._lay_out()
        self._connect()
        self._on_opened()
        QTimer.singleShot(0, lambda: tabify(self))

    def say(self, text: str) -> None:
        """Show one sentence to the user."""
        self.message.setText(text)

    def next(self) -> None:
        """Ask where to paint next."""
        self._try(self.workbench.suggest, "Looking for a place …")

    def take_piece(self, position: Any) -> None:
        """Correct the piece of the prediction at a place of the world."""
        value = self.spot_class.currentData()
        self._count(lambda: self.corrections.take_piece(position, value))

    def import_from(self, folder: Path) -> None:
        """Take the strokes over that another project holds of this image."""
        self._count(lambda: self._import(folder))

    def _import(self, folder: Path) -> int:
        image, strokes = self.scene.image, self.scene.strokes
        if image is None or strokes is None:
            raise UserError("Choose an image first, and press Start labelling.")
        store, before = self.workbench.labels(image.key), self.scene.classes()
        painted, classes = take_from_project(folder, image, store, before)
        if classes != before:
            self.workbench.set_classes(classes)
            self.scene.show_classes(classes)
        self.workbench.flush()
        strokes.refresh()
        self.scene.changed.emit()
        return painted

    def _lay_out(self) -> None:
        column = scrolled_column(self)
        column.addWidget(heading("Where to paint next"))
        column.addWidget(self.next_button)
        column.addWidget(self.unsure_check)
        column.addWidget(heading("A spot is wrong"))
        column.addWidget(note("Click on it: the whole spot becomes what you choose."))
        column.addLayout(row(self.spot_button, self.spot_class))
        column.addWidget(heading("Areas"))
        column.addWidget(note("Draw around them, then say what is true inside."))
        column.addLayout(row(self.draw_button, self.fill_button))
        column.addLayout(row(self.take_button, self.area_class))
        column.addWidget(heading("For testing only"))
        column.addWidget(note("Nothing in such areas is learned; it only scores."))
        column.addLayout(row(self.test_button, self.learn_button))
        column.addWidget(self.test_check)
        column.addWidget(heading("From elsewhere"))
        column.addLayout(row(self.mask_button, self.file_button))
        column.addWidget(self.import_button)
        self.message.setWordWrap(True)
        column.addWidget(self.message)
        column.addStretch(1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        self.next_button.clicked.connect(self.next)
        self.unsure_check.toggled.connect(self._show_doubt)
        self.spot_button.toggled.connect(self._hook)
        self.draw_button.clicked.connect(
            lambda: self._try(
                self.corrections.draw_areas, "Click the corners; Esc ends."
            )
        )
        self.take_button.clicked.connect(
            lambda: self._count(
                lambda: self.corrections.take_areas(self.area_class.currentData())
            )
        )
        self.fill_button.clicked.connect(
            lambda: self._count(self.corrections.fill_areas)
        )
        self.test_button.clicked.connect(self._test_areas)
        self.test_check.toggled.connect(self._test_image)
        self.learn_button.clicked.connect(lambda: self._test_image(False))
        self.mask_button.clicked.connect(self._take_mask)
        self.file_button.clicked.connect(self._ask_mask)
        self.import_button.clicked.connect(self._ask_project)
        self.scene.opened.connect(self._on_opened)
        self.scene.changed.connect(self._on_opened)
        self.workbench.suggested.connect(self._on_suggested)
        self.workbench.said.connect(self._on_said)

    def _on_said(self, text: str) -> None:
        if isalive(self):
            self.say(text)

    def _on_opened(self) -> None:
        """Offer the classes of the project, and show what the image is for."""
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        self._offer(self.spot_class, "as predicted (it is right)", last=True)
        self._offer(self.area_class, "as predicted", last=False)
        image = self.scene.image
        if image is not self._shown:
            self._shown = image
            self.corrections.show_testing()
        self.learn_button.setEnabled(image is not None and bool(image.testing))
        whole = image is not None and image.testing == (
            tuple((0, n) for n in image.label_shape),
        )
        with QSignalBlocker(self.test_check):
            self.test_check.setChecked(whole)
        if self._hooked is not None and self._hooked is not self.scene.strokes:
            self.spot_button.setChecked(False)

    def _offer(self, box: QComboBox, as_it_is: str, *, last: bool) -> None:
        """Offer the classes of the project, and to take what is predicted."""
        offered, chosen = box.count() > 1, box.currentData()
        with QSignalBlocker(box):
            box.clear()
            for info in self.scene.classes():
                text = info.name if last else f"objects are {info.name}"
                box.addItem(text, info.value)
            box.insertItem(box.count() if last else 0, as_it_is, None)
            place = box.findData(chosen) if offered else 0
            box.setCurrentIndex(max(0, place))

    def _hook(self, wanted: bool) -> None:
        """Listen to clicks on the strokes in place of painting."""
        strokes = self._hooked if not wanted else self.scene.strokes
        if strokes is None:
            self.spot_button.setChecked(False)
            self.say("Choose an image first, and press Start labelling.")
            return
        if wanted:
            strokes.mode = "pan_zoom"
            strokes.mouse_drag_callbacks.append(self._on_click)
            self.scene.viewer.layers.selection.active = strokes
            self._hooked = strokes
        else:
            if self._on_click in strokes.mouse_drag_callbacks:
                strokes.mouse_drag_callbacks.remove(self._on_click)
            strokes.mode = "paint"
            self._hooked = None

    def _on_click(self, _layer: object, event: Any) -> Any:
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        if not dragged and isalive(self):
            self.take_piece(event.position)

    def _show_doubt(self, wanted: bool) -> None:
        self._try(lambda: self.scene.show_probability(UNCERTAINTY if wanted else None))

    def _test_areas(self) -> None:
        then = _THEN.get(self.workbench.task, "it scores what is predicted there")
        self._try(
            self.corrections.test_areas,
            f"Nothing inside is learned from any more; {then}.",
        )
        self._on_opened()

    def _test_image(self, whole: bool) -> None:
        text = (
            "Nothing of this image is learned from any more; it only scores."
            if whole
            else "All of this image is learned from."
        )
        self._try(lambda: self.corrections.test_image(whole), text)
        self._on_opened()

    def _on_suggested(self, place: Suggested) -> None:
        """Go where the network is unsure."""
        project = self.workbench.project
        if not isalive(self) or project is None:
            return
        if self.scene.image is None or self.scene.image.key != place.key:
            self._try(lambda: show_image(self.host, project.image(place.key)))
        strokes = self.scene.strokes
        if strokes is None:
            return
        region = list(place.region)
        if self.scene.skip is not None:
            region.insert(self.scene.skip, slice(None))
        go_to(self.scene.viewer, strokes, tuple(region), centre=True)
        self.host.marker.show(place)
        self.say(f"Paint inside the ring ({place.doubt:.0%} unsure).")

    def _take_mask(self) -> None:
        """Take the Labels layer that is chosen in the layer list as dense mask."""
        layers = self.scene.viewer.layers
        own = (self.scene.strokes, self.scene.prediction, self.scene.masks)
        found = [x for x in layers if isinstance(x, Labels) and x not in own]
        chosen = [x for x in found if x in layers.selection] or found[:1]
        if len(chosen) != 1 or (len(found) > 1 and chosen[0] not in layers.selection):
            self.say("Open the mask as a Labels layer, choose it in the layer list.")
            return
        self._adopt(chosen[0])

    def _adopt(self, labels: Labels) -> None:
        self._try(
            lambda: self.scene.adopt(labels, dense=True),
            f"Took {labels.name}: 0 in it is background.",
        )

    def take_mask_file(self, path: Path) -> None:
        """Take an image file as dense mask."""
        try:
            opened = open_image(path)
            data = np.asarray(opened.data)
            if data.dtype.kind not in "uib":
                raise UserError(f"{path.name} holds no whole numbers; choose a mask.")
        except UserError as error:
            self.say(str(error))
            return
        self._adopt(Labels(data.astype(np.int64), name=opened.name))

    def _ask_mask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A mask of this image")
        if path:
            self.take_mask_file(Path(path))

    def _ask_project(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Take strokes from a project (.fcnproj)", str(self.workbench.home)
        )
        if folder:
            self.import_from(Path(folder))

    def _count(self, action: Callable[[], int]) -> None:
        """Do something and say how much it was."""
        try:
            changed = action()
        except UserError as error:
            self.say(str(error))
            return
        self.host.marker.look()
        self.say(
            f"{changed} pixels changed; Ctrl-Z takes it back."
            if changed
            else "Nothing has changed: it is painted so already."
        )

    def _try(self, action: Callable[[], object], text: str = "") -> None:
        try:
            action()
        except UserError as error:
            text = str(error)
        self.say(text)
