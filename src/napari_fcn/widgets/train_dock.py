"""The dock "Label & Train": choose an image, paint, train, look, correct."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_fcn.errors import UserError
from napari_fcn.project.history import Timeline
from napari_fcn.widgets.classlist import ClassList
from napari_fcn.widgets.count_panel import CountPanel
from napari_fcn.widgets.curve import Curve
from napari_fcn.widgets.host import Host, host_of, tabify
from napari_fcn.widgets.imagebox import ImageBox
from napari_fcn.widgets.keys import bind_keys, unbind_keys
from napari_fcn.widgets.pieces import heading, short_path
from napari_fcn.widgets.regress_panel import RegressPanel
from napari_fcn.widgets.scrolled import scrolled_column
from napari_fcn.widgets.settings import Settings
from napari_fcn.widgets.task_choice import HEADINGS, TRAIN, TaskChoice
from napari_fcn.widgets.words import button_text, score_text, state_text
from napari_fcn.workbench.protocol import UNCERTAINTY

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_fcn.config import ClassInfo, Task
    from napari_fcn.engine.events import Finished
    from napari_fcn.workbench.status import Status

_BIG = "font-size: 15pt; font-weight: bold; padding: 7px;"
_OVERLAYS = {
    "segmentation": "Show prediction",
    "density": "Show density",
    "regression": "Show prediction",
}
_OPACITIES = {"segmentation": 45, "density": 80, "regression": 100}


class TrainDock(QWidget):
    """Everything one needs to teach a network, from top to bottom.

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
        self.viewer: ViewerModel = host.viewer
        self.workbench, self.scene = host.workbench, host.scene
        self._keys: list[tuple[Any, Any]] = []
        self.image_box = ImageBox(self.viewer, self.scene)
        self.task_choice = TaskChoice()
        self.class_list = ClassList()
        self.count_panel = CountPanel(self.scene)
        self.regress_panel = RegressPanel(self.scene)
        self.curve = Curve()
        self.settings = Settings()
        self._make_controls()
        self._lay_out()
        self._connect()
        self._show_status(self.workbench.status)
        self._show_task(self.workbench.task)
        self.paint_box.setEnabled(False)
        if self.scene.image is not None:
            self._on_opened()
        QTimer.singleShot(0, lambda: tabify(self))

    def say(self, text: str) -> None:
        """Show one sentence to the user."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def start(self) -> None:
        """Work on the chosen image: its labels appear, the brush is ready."""
        layer = self.image_box.layer()
        if layer is None:
            self.say("Open an image first.")
            return
        self.say("")  # what is said meanwhile stays
        try:
            self.scene.work_on(layer, self.image_box.names())
        except UserError as error:
            self.say(str(error))

    def _on_opened(self) -> None:
        """Offer what belongs to the image that is worked on now."""
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        project = self.workbench.project
        if project is not None:
            self.class_list.show_classes(project.record.classes, self._first())
            self.settings.load(project.record.network, project.record.training)
            self.count_panel.load()
            self.regress_panel.load()
            self.place.setText(f"Kept in {short_path(project.folder)}")
            self.place.setToolTip(str(project.folder))
        self.paint_box.setEnabled(True)
        self._show_start()
        self._bind_keys()
        self._pick(self.class_list.current() or 1)
        self._list_probabilities()
        self.scene.look()

    def toggle(self) -> None:
        """Train, pause, go on: whatever the big button says."""
        state = self.workbench.status.state
        try:
            if state == "training":
                self.workbench.pause()
            else:
                self._take_settings()
                self.say("")
                self.workbench.train()
        except UserError as error:
            self.say(str(error))

    def train_anew(self) -> None:
        """Forget what was learned and train on the same strokes again."""
        self._train_from(None)

    def train_from_model(self) -> None:
        """Ask for a model file and start from it."""
        path, _ = QFileDialog.getOpenFileName(
            self, "Start from a model", filter="Models (*.safetensors)"
        )
        if path:
            self._train_from(Path(path))

    def _train_from(self, model: Path | None) -> None:
        if self.workbench.status.state not in ("ready", "dead"):
            self.say("Stop the training that runs first.")
            return
        try:
            self._take_settings()
            self.curve.show_past(Timeline())
            self.workbench.train(model, anew=True)
        except UserError as error:
            self.say(str(error))

    def save_model(self) -> None:
        """Ask where to and save the best model."""
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the model", "model.safetensors", "Models (*.safetensors)"
        )
        if not path:
            return
        try:
            self.workbench.save_model(Path(path).with_suffix(".safetensors"))
        except UserError as error:
            self.say(str(error))
        else:
            self.say(f"Saved {Path(path).name}.")

    def show_prediction(self, visible: bool) -> None:
        """Show or hide the prediction."""
        for layer in self.scene.overlays:
            layer.visible = visible
        self.overlay_check.setChecked(visible)

    def _make_controls(self) -> None:
        self.place = QLabel()
        self.place.setWordWrap(True)
        self.place.setStyleSheet("color: #888;")
        self.import_button = QPushButton("Take strokes from a layer…")
        self.import_button.setToolTip("Use a Labels layer that you have as strokes")
        self.train_button = QPushButton()
        self.train_button.setStyleSheet(_BIG)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("End training and keep the best network")
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.score = QLabel()
        self.score.setWordWrap(True)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setStyleSheet(
            "background: #5a4a10; color: #fff3c4; border-radius: 3px; padding: 5px;"
        )
        self.message.hide()
        self.overlay_check = QCheckBox("Show prediction")
        self.overlay_check.setChecked(True)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.opacity.setValue(45)
        self.opacity.setToolTip("Opacity of the prediction")
        self.probability = QComboBox()
        self.probability.setToolTip("How sure the network is of a class, from 0 to 1")
        self.anew_button = QPushButton("Start anew")
        self.anew_button.setToolTip("Forget what was learned; the strokes stay")
        self.from_button = QPushButton("From a model…")
        self.from_button.setToolTip("Start from a network that was trained before")
        self.save_button = QPushButton("Save model…")

    def _lay_out(self) -> None:
        column = scrolled_column(self, spacing=4)
        column.addWidget(self.task_choice)
        column.addWidget(heading("1  Image"))
        column.addWidget(self.image_box)
        self.step_two, self.step_three = heading(""), heading("")
        column.addWidget(self.step_two)
        self.paint_box = QWidget()
        paint = QVBoxLayout(self.paint_box)
        paint.setContentsMargins(0, 0, 0, 0)
        paint.addWidget(self.class_list)
        paint.addWidget(self.import_button)
        paint.addWidget(self.count_panel)
        paint.addWidget(self.regress_panel)
        column.addWidget(self.paint_box)
        column.addWidget(self.step_three)
        buttons = QHBoxLayout()
        buttons.addWidget(self.train_button, 1)
        buttons.addWidget(self.stop_button)
        column.addLayout(buttons)
        for widget in (self.message, self.state, self.score, self.curve):
            column.addWidget(widget)
        column.addWidget(heading("4  Look"))
        column.addWidget(self._look_box())
        column.addWidget(self.count_panel.counts)
        column.addWidget(self.regress_panel.agreement)
        column.addWidget(self._more())
        column.addWidget(self.place)
        column.addStretch(1)
        self.setMinimumWidth(340)

    def _look_box(self) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.overlay_check, 0, 0)
        grid.addWidget(QLabel("key H"), 0, 1)
        grid.addWidget(self.opacity, 0, 2)
        self.probability_label = QLabel("Probability of")
        grid.addWidget(self.probability_label, 1, 0)
        grid.addWidget(self.probability, 1, 1, 1, 2)
        grid.setColumnStretch(2, 1)
        return box

    def _more(self) -> QWidget:
        fold = QCollapsible("More settings")
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        for button in (self.anew_button, self.from_button, self.save_button):
            row.addWidget(button)
        column.addLayout(row)
        column.addWidget(self.settings)
        fold.addWidget(content)
        return fold

    def _connect(self) -> None:
        self.image_box.started.connect(self.start)
        self.image_box.choice.currentIndexChanged.connect(self._show_start)
        self.image_box.failed.connect(self.say)
        self.count_panel.failed.connect(self.say)
        self.regress_panel.failed.connect(self.say)
        self.task_choice.chosen.connect(self._choose_task)
        self.workbench.task_changed.connect(self._show_task)
        self.scene.opened.connect(self._on_opened)
        self.scene.changed.connect(self._on_scene_changed)
        self.class_list.picked.connect(self._pick)
        self.class_list.changed.connect(self._set_classes)
        self.import_button.clicked.connect(self._import_strokes)
        self.train_button.clicked.connect(self.toggle)
        self.stop_button.clicked.connect(self.workbench.stop)
        self.overlay_check.toggled.connect(self.show_prediction)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.probability.currentIndexChanged.connect(self._choose_probability)
        self.anew_button.clicked.connect(self.train_anew)
        self.from_button.clicked.connect(self.train_from_model)
        self.save_button.clicked.connect(self.save_model)
        self.workbench.status_changed.connect(self._show_status)
        self.workbench.said.connect(self.say)
        self.workbench.settings_changed.connect(self.settings.load)
        self.workbench.stepped.connect(self.curve.add_loss)
        self.workbench.scored.connect(self.curve.add_score)
        self.workbench.finished.connect(self._on_finished)

    def _on_scene_changed(self) -> None:
        """Follow classes that strokes from elsewhere brought, and deleted layers."""
        project = self.workbench.project
        if project is not None and project.record.classes != self.class_list.classes:
            self.class_list.show_classes(project.record.classes, self._first())
            self._list_probabilities()
        self._show_start()

    def _show_start(self) -> None:
        """Offer to start on another image than the one that is worked on."""
        layer, button = self.image_box.layer(), self.image_box.start_button
        here = layer is not None and layer is self.scene.layer
        here = here and self.scene.is_shown
        button.setEnabled(layer is not None and not here)
        ready = {"segmentation": "✓ Ready to paint", "density": "✓ Ready for dots"}
        start = {"segmentation": "Start labelling", "density": "Start dotting"}
        task = self.workbench.task
        button.setText(ready.get(task, "✓ Ready") if here else start.get(task, "Start"))

    def _first(self) -> int:
        classes = (
            self.workbench.project.record.classes if self.workbench.project else ()
        )
        return next((c.value for c in classes if not c.background), 1)

    def _pick(self, value: int) -> None:
        """Give brush or dots a class, and put them into the hand."""
        layer = self.scene.strokes
        self.class_list.set_current(value)
        if self.workbench.task == "density":
            self.count_panel.pick(value)
            return
        if layer is None or layer not in self.viewer.layers:
            return
        layer.selected_label = value
        layer.mode = "paint" if value else "erase"
        self.viewer.layers.selection.active = layer

    def _bind_keys(self) -> None:
        unbind_keys(self._keys)
        targets = self.scene.targets
        layer = self.scene.strokes or (targets.dots if targets else None)
        if layer is not None:
            self._keys = bind_keys(
                self.viewer, layer, self._pick_number, self._toggle_overlay, self._fade
            )
        if self.scene.strokes is not None:
            self.scene.strokes.events.selected_label.connect(self._on_label)

    def _on_label(self, _event: object = None) -> None:
        """Follow napari's own controls, as far as there are classes."""
        layer = self.scene.strokes
        if layer is None or not isalive(self):
            return
        value = int(layer.selected_label)
        if value and value not in (c.value for c in self.class_list.classes):
            self.say(f"There is no class {value}; add one with “+ Add a class” first.")
            self._pick(self.class_list.current() or self._first())
            return
        self.class_list.set_current(value)

    def _pick_number(self, number: int) -> None:
        """Switch to the class whose key it is."""
        if (value := self.class_list.at_key(number)) is not None:
            self._pick(value)

    def _toggle_overlay(self) -> None:
        self.show_prediction(not self.overlay_check.isChecked())

    def _fade(self, steps: int) -> None:
        self.opacity.setValue(self.opacity.value() + 10 * steps)

    def _set_opacity(self, percent: int) -> None:
        for layer in (*self.scene.overlays, *self.scene.wholes, self.scene.masks):
            if layer is not None:
                layer.opacity = percent / 100

    def _set_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        try:
            self.workbench.set_classes(classes)
        except UserError as error:
            self.say(str(error))
        self.scene.show_classes(classes)
        self._list_probabilities()
        if self.workbench.status.state in ("training", "paused"):
            self.say("New or changed classes count from the next start of training.")

    def _choose_task(self, task: Task) -> None:
        try:
            self.workbench.set_task(task)
        except UserError as error:
            self.say(str(error))
            self.task_choice.show_task(self.workbench.task)

    def _show_task(self, task: str) -> None:
        """Show what a task needs, and nothing else."""
        if not isalive(self):
            return
        self.task_choice.show_task(task)
        self.step_two.setText(HEADINGS[task])
        self.step_three.setText(TRAIN[task])
        painting, counting = task == "segmentation", task == "density"
        self.class_list.setVisible(painting or counting)
        self.class_list.show_background(painting)
        self.import_button.setVisible(painting)
        for widget in (self.probability, self.probability_label):
            widget.setVisible(painting)
        self.count_panel.setVisible(counting)
        self.count_panel.counts.setVisible(counting)
        for widget in (self.regress_panel, self.regress_panel.agreement):
            widget.setVisible(task == "regression")
        self.overlay_check.setText(_OVERLAYS[task])
        self.opacity.setValue(_OPACITIES[task])
        self.settings.show_task(task)
        self.curve.show_past(self.workbench.past())
        self.say("")
        self._show_status(self.workbench.status)
        self._show_start()

    def _list_probabilities(self) -> None:
        chosen = self.probability.currentData()
        self.probability.blockSignals(True)
        self.probability.clear()
        self.probability.addItem("– not shown –", None)
        for info in self.class_list.classes:
            self.probability.addItem(info.name, info.value)
        self.probability.addItem("– where it is unsure –", UNCERTAINTY)
        self.probability.setCurrentIndex(max(0, self.probability.findData(chosen)))
        self.probability.blockSignals(False)

    def _choose_probability(self) -> None:
        try:
            self.scene.show_probability(self.probability.currentData())
        except UserError as error:
            self.say(str(error))

    def _import_strokes(self) -> None:
        """Take over the strokes of the one layer that fits, or say what to do."""
        from napari.layers import Labels

        own = (self.scene.strokes, self.scene.prediction, self.scene.masks)
        layers = [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Labels) and layer not in own
        ]
        if not layers:
            self.say("Open the strokes as a Labels layer first, then press this again.")
            return
        chosen = [x for x in layers if x in self.viewer.layers.selection] or layers
        try:
            self.scene.adopt(chosen[-1])
        except UserError as error:
            self.say(str(error))
        else:
            self.say(f"Took the strokes of {chosen[-1].name}.")

    def _take_settings(self) -> None:
        project = self.workbench.project
        if project is None:
            self.start()
            project = self.workbench.project
        if project is not None:
            network, training = self.settings.value()
            self.workbench.set_settings(network, training)

    def _show_status(self, status: Status) -> None:
        self.train_button.setText(button_text(status))
        self.train_button.setEnabled(status.state != "stopping")
        self.stop_button.setEnabled(status.state in ("training", "paused"))
        self.state.setText(state_text(status))
        self.state.setToolTip(f"Computes on the {status.device}" * bool(status.device))
        self.score.setText(score_text(status, self.workbench.task))
        free = status.state in ("ready", "dead")
        self.settings.setEnabled(free)
        self.settings.setToolTip("" if free else "Stop the training to change these.")

    def _on_finished(self, event: Finished) -> None:
        if event.reason != "failed":
            self.say("")
