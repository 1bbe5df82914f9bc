"""What the dock shows while objects are counted: dots, areas, boxes and counts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points, Shapes
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from napari_fcn.errors import UserError
from napari_fcn.widgets.count_view import CountTable, short_count
from napari_fcn.widgets.pieces import button, note, row
from napari_fcn.widgets.placement import placement
from napari_fcn.workbench.count_sums import label_index, live_counts
from napari_fcn.workbench.live_stores import live_store

if TYPE_CHECKING:
    from typing import Any

    from napari_fcn.project.targets import Targets
    from napari_fcn.widgets.scene import Scene
    from napari_fcn.workbench.protocol import Shown

_HELP = (
    "Click on every object. Where not all have a dot, draw the areas that are "
    "complete; without any, each slice with a dot counts as complete."
)


class CountPanel(QWidget):
    """Dots, areas and object sizes above; counts below, in a widget of its own.

    Parameters
    ----------
    scene : Scene
        The image that is worked on.

    Attributes
    ----------
    counts : QWidget
        The table of counts, for another place in the dock.
    """

    failed = Signal(str)

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene, self.workbench = scene, scene.workbench
        self._value = 2
        self._whole = False
        self._sizing: Shapes | None = None
        self.table = CountTable()
        self.counts = self._make_counts()
        self._make_controls()
        self.workbench.shown.connect(self._on_shown)
        self.workbench.annotated.connect(lambda _: self._show_dots())
        self.workbench.calibrated.connect(lambda _: self.refresh())

    def pick(self, value: int) -> None:
        """Work with the dots of this class."""
        self._value = value or self._value
        if self.scene.targets is not None:
            self.scene.targets.pick(self._value)
        self._show_size()

    def refresh(self) -> None:
        """Read the counts anew."""
        image, now, project = (
            self.scene.image,
            self.scene.where(),
            self.workbench.project,
        )
        if image is None or now is None or project is None or not self._is_on():
            return
        try:
            found = live_counts(
                self.workbench,
                image,
                (now.sample, now.region),
                project.record.network.ndim,
                whole=self._whole,
            )
        except UserError as error:
            self.failed.emit(str(error))
            return
        known = self.workbench.calibration.error.regions > 0
        self.table.show_counts(found, measured=known)
        self._show_dots()
        if self.scene.targets is not None:
            boxes = len(self.workbench.targets(image.key).boxes)
            texts = [
                ", ".join(short_count(c) for c in found if c.place == n)
                for n in range(boxes)
            ]
            self.scene.targets.show_texts(texts)

    def correct(self, box: int, value: int, truth: float | None) -> None:
        """Say how many objects of a class there are in a box; None if unknown."""
        image = self.scene.image
        if image is None:
            return
        boxes = list(self.workbench.targets(image.key).boxes)
        counts = {k: v for k, v in boxes[box].counts.items() if k != value}
        if truth is not None:
            counts[value] = truth
        boxes[box] = boxes[box].model_copy(update={"counts": counts})
        try:
            self.workbench.annotate(image.key, boxes=tuple(boxes))
        except UserError as error:
            self.failed.emit(str(error))
        self.refresh()

    def find_objects(self) -> Points | None:
        """Show the peaks of the density as points, in the slice or what is in view."""
        from napari_fcn.engine.peaks import find_peaks

        image, now, project = (
            self.scene.image,
            self.scene.where(),
            self.workbench.project,
        )
        widths = self.workbench.calibration.widths
        if image is None or now is None or project is None or not widths:
            self.failed.emit("Train first: objects are found in the density map.")
            return None
        ndim, axes = project.record.network.ndim, image.label_axes
        places, values = [], []
        for value, width in widths.items():
            density = self.workbench.prediction(image.key, live_store("density", value))
            index = label_index(axes, ndim, now.sample, now.region)
            found = find_peaks(np.asarray(density[index], np.float32), width)
            full = np.zeros((len(found), len(axes)))
            full[:, list(axes.samples(ndim))] = now.sample
            full[:, list(axes.spatial(ndim))] = found + [s.start for s in now.region]
            places.append(full)
            values += [value] * len(found)
        return self._show_objects(np.concatenate(places), values)

    def _show_objects(self, places: Any, values: list[int]) -> Points | None:
        layer, image = self.scene.layer, self.scene.image
        if layer is None or image is None or self.scene.targets is None:
            return None
        if self.scene.targets.skip is not None:
            places = np.insert(places, self.scene.targets.skip, 0, axis=1)
        name = f"{image.name} – objects"
        viewer = self.scene.viewer
        if name in viewer.layers:
            viewer.layers.remove(name)
        points = Points(
            places,
            name=name,
            ndim=places.shape[1],
            features={"class": np.array(values, int)},
            symbol="cross",
            face_color="#7fff7f",
            border_width=0,
            size=max(4.0, min(image.label_shape[-2:]) / 50),
            **placement(layer, places.shape[1]),
        )
        viewer.layers.append(points)
        viewer.layers.selection.active = self.scene.targets.dots
        return points

    def take_dots(self, layer: Points) -> None:
        """Put a dot of the marked class on each point of a layer."""
        project, targets = self.workbench.project, self.scene.targets
        if project is None or targets is None or targets.dots is None:
            self.failed.emit("Start dotting an image first, then take points over.")
            return
        known = [c.value for c in project.record.classes if not c.background]
        added = targets.take_dots(layer, self._value, known)
        self.failed.emit(
            f"{added} of {len(layer.data)} points of {layer.name} became dots; points "
            "outside of the image and those with a dot are left out."
        )
        self.pick(self._value)

    def _ask_layer(self) -> None:
        """Take the only other layer of points, or let the user choose one."""
        layers = self.scene.targets.others() if self.scene.targets is not None else []
        if not layers:
            self.failed.emit(
                "There is no other layer of points; open a table of points in napari, "
                "or press Objects as points."
            )
        elif len(layers) == 1:
            self.take_dots(layers[0])
        else:
            self.menu.clear()
            for layer in layers:
                action = self.menu.addAction(layer.name)
                action.triggered.connect(lambda _, one=layer: self.take_dots(one))
            corner = self.take_button.rect().bottomLeft()
            self.menu.popup(self.take_button.mapToGlobal(corner))

    def measure_size(self) -> None:
        """Let the user draw one object; its diameter becomes the size of the class."""
        image, layer = self.scene.image, self.scene.layer
        if image is None or layer is None or self.scene.targets is None:
            return
        self._drop_sizing()
        ndim = len(image.label_shape) + (self.scene.skip is not None)
        self._sizing = Shapes(
            ndim=ndim,
            name="draw one object here",
            edge_color="#7fff7f",
            face_color="transparent",
            edge_width=2,
            **placement(layer, ndim),
        )
        self.scene.viewer.layers.append(self._sizing)
        self._sizing.mode = "add_ellipse"
        self._sizing.events.data.connect(self._on_sized)
        self.failed.emit("Drag across one object of this class, from edge to edge.")

    def save_counts(self) -> None:
        """Ask where to and save the counts that are shown."""
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the counts", "counts.csv", "Tables (*.csv)"
        )
        if path:
            try:
                self.table.save(Path(path).with_suffix(".csv"))
            except UserError as error:
                self.failed.emit(str(error))

    def take_settings(self) -> None:
        """Keep the size of the class's objects in the project."""
        project = self.workbench.project
        if project is None:
            return
        size = self.size.value()
        counting = project.record.counting
        sizes = {k: v for k, v in counting.sizes.items() if k != self._value}
        if size:
            sizes[self._value] = size
        if sizes != counting.sizes:
            try:
                self.workbench.set_counting(
                    counting.model_copy(update={"sizes": sizes})
                )
            except UserError as error:
                self.failed.emit(str(error))

    def load(self) -> None:
        """Show what the project says."""
        self._show_size()
        self._show_dots()

    def _make_controls(self) -> None:
        self.help = note(_HELP)
        self.dot_button = button(
            "Click dots", "Put a dot on every object of the marked class"
        )
        self.area_button = button(
            "Draw a complete area",
            "A polygon or rectangle in which every object has a dot",
        )
        self.take_button = button(
            "Take points as dots…",
            "Copy the points of another layer: of a table that was opened in napari, "
            "or the objects found, to be put right by hand",
        )
        self.menu = QMenu(self)
        self.number = QLabel()
        self.size = QDoubleSpinBox()
        self.size.setRange(0, 10_000)
        self.size.setDecimals(1)
        self.size.setSpecialValueText("from the spacing of dots")
        self.size.setSuffix(" pixels")
        self.size.setToolTip("Diameter of an object of the marked class")
        self.measure_button = button(
            "Draw one", "Measure the size by drawing across an object"
        )
        grid = QGridLayout()
        grid.addWidget(QLabel("Object size"), 0, 0)
        grid.addWidget(self.size, 0, 1)
        grid.addWidget(self.measure_button, 0, 2)
        grid.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.help)
        column.addLayout(row(self.dot_button, self.area_button))
        column.addLayout(row(self.take_button))
        column.addWidget(self.number)
        column.addLayout(grid)
        self.dot_button.clicked.connect(lambda: self.pick(self._value))
        self.take_button.clicked.connect(self._ask_layer)
        self.area_button.clicked.connect(lambda: self._draw("areas", "add_polygon"))
        self.size.editingFinished.connect(self.take_settings)
        self.measure_button.clicked.connect(self.measure_size)

    def _make_counts(self) -> QWidget:
        box = QWidget()
        self.box_button = button("Draw a box to count in")
        self.points_button = button(
            "Objects as points", "The peaks of the density in what is on screen"
        )
        self.save_button = button("Save…")
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.box_button, self.points_button, self.save_button))
        column.addWidget(self.table)
        self.box_button.clicked.connect(lambda: self._draw("boxes", "add_rectangle"))
        self.points_button.clicked.connect(self.find_objects)
        self.save_button.clicked.connect(self.save_counts)
        self.table.corrected.connect(self.correct)
        return box

    def _draw(self, name: str, mode: str) -> None:
        if self.scene.targets is not None:
            self.scene.targets.draw(name, mode)

    def _is_on(self) -> bool:
        return self.workbench.task == "density"

    def _show_size(self) -> None:
        project = self.workbench.project
        if project is not None:
            with QSignalBlocker(self.size):
                self.size.setValue(project.record.counting.sizes.get(self._value, 0.0))

    def _show_dots(self) -> None:
        image, project = self.scene.image, self.workbench.project
        if image is None or project is None or not self._is_on():
            return
        with suppress(UserError):
            targets: Targets = self.workbench.targets(image.key)
            parts = []
            for info in project.record.classes:
                if not info.background:
                    n = sum(d.value == info.value for d in targets.dots)
                    parts.append(f"{n} of {info.name}")
            areas = len(targets.dotted)
            where = f" · {areas} complete area{'s' if areas > 1 else ''}"
            self.number.setText("Dots: " + ", ".join(parts) + (where if areas else ""))

    def _on_sized(self, event: Any) -> None:
        layer = self._sizing
        if layer is None or str(event.action) != "added":
            return
        image = self.scene.image
        assert image is not None
        corners = np.asarray(layer.data[-1])
        edges = np.ptp(corners, axis=0)
        drawn = edges[edges > 0]
        if len(drawn):
            self.size.setValue(float(drawn.mean()))
            self.take_settings()
            self.failed.emit(
                "The size counts from the next start of training."
                if self.workbench.status.state in ("training", "paused")
                else ""
            )
        self._drop_sizing()
        self.pick(self._value)

    def _drop_sizing(self) -> None:
        layer, self._sizing = self._sizing, None
        if layer is not None and layer in self.scene.viewer.layers:
            self.scene.viewer.layers.remove(layer)

    def _on_shown(self, event: Shown) -> None:
        image = self.scene.image
        if image is None or event.key != image.key or not event.complete:
            return
        if self._is_on():
            self._whole = event.whole
            self.refresh()
