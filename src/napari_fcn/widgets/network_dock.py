"""The dock "Network": choose what learns, and see what it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_fcn.config import TrainingConfig, usual_network
from napari_fcn.errors import UserError
from napari_fcn.widgets.field_view import FieldView
from napari_fcn.widgets.frame_view import FrameView
from napari_fcn.widgets.host import Host, host_of, tabify
from napari_fcn.widgets.mask_channel import add_mask_channel, masks_for
from napari_fcn.widgets.network_choice import NetworkChoice
from napari_fcn.widgets.network_words import facts_text, field_text, frame_text
from napari_fcn.widgets.pieces import heading, note, row
from napari_fcn.widgets.scrolled import scrolled_column
from napari_fcn.workbench.questions import Describe, Described

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_fcn.config import NetworkConfig
    from napari_fcn.project import Project
    from napari_fcn.workbench.status import Status

_WARNING = "background: #5a4a10; color: #fff3c4; border-radius: 3px; padding: 5px;"
_CALM_MS = 300
"""How long settings must rest before the engine is asked about them."""


class NetworkDock(QWidget):
    """Chooses network and loss, and shows receptive field, shifts and borders.

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
        self._wanted: tuple[NetworkConfig, dict[str, str]] | None = None
        self._described: Described | None = None
        self.choice = NetworkChoice()
        self.field = FieldView(self.viewer, self.scene, self.workbench, self)
        self.frame = FrameView(self.viewer, self.scene, self.workbench, self)
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_CALM_MS)
        self._calm.timeout.connect(self._ask)
        self._make_controls()
        self._lay_out()
        self._connect()
        project = self.workbench.project
        if project is not None:
            self.choice.load(project.record.network, project.record.training)
        self._show_task(self.workbench.task)
        self._list_masks()
        QTimer.singleShot(0, lambda: tabify(self))

    def use(self) -> None:
        """Train the chosen network with the chosen loss from the next start on."""
        try:
            network, chosen = self.choice.value()
        except UserError as error:
            self._say(str(error))
            return
        project = self.workbench.project
        if project is None:
            self._wanted = (network, chosen)
            self._say("It will be used once you start labelling an image.")
            return
        self._wanted = None
        training = project.record.training.model_copy(update=chosen)
        try:
            self.workbench.set_settings(network, training)
        except UserError as error:
            self._say(str(error))
            return
        self._say("It is used from the next time you press Train.")

    def take_advice(self) -> None:
        """Choose the depth that would do."""
        better = self._described.better if self._described is not None else None
        if better is None:
            return
        fields = ("depth", "layers", "scales")
        deeper = {name: getattr(better, name) for name in fields}
        self.choice.show_network(self.choice.form.value().model_copy(update=deeper))

    def try_frame(self) -> None:
        """See what a shift, or a border, changes in the prediction."""
        try:
            self.frame.ask(self.frame_kind.currentData(), self.shift.value())
        except UserError as error:
            self.frame_label.setText(str(error))
            return
        self.frame_label.setText("Predicting twice…")
        self.frame_button.setEnabled(False)

    def add_mask(self) -> None:
        """Make an image with the chosen mask as one more channel."""
        layer = self.scene.layer
        names = self.scene.names_of(layer) if layer is not None else ""
        masks = masks_for(self.viewer, self._own())
        index = self.mask.currentIndex()
        chosen = masks[index] if 0 <= index < len(masks) else None
        try:
            both = add_mask_channel(self.viewer, layer, names, chosen)
        except UserError as error:
            self.mask_label.setText(str(error))
            return
        self.mask_label.setText(
            f"Now choose {both.name} in Label & Train, with the axes "
            f"{''.join(both.axis_labels).upper()}, and start labelling it."
        )

    def _make_controls(self) -> None:
        self.facts = note()
        self.advice = note(style=_WARNING)
        self.advice.hide()
        self.advice_button = QPushButton("Take this advice")
        self.use_button = QPushButton("Use it")
        self.use_button.setStyleSheet("font-size: 13pt; font-weight: bold;")
        self.message = note()
        self.box_check = QCheckBox("Box: all it can see")
        self.box_check.setToolTip("The receptive field, computed from the network")
        self.heat_check = QCheckBox("Heat map: what counts")
        self.heat_check.setToolTip(
            "The effective receptive field: how much each pixel counts for the\n"
            "prediction under the cursor, by gradients of the weights as they are now"
        )
        self.field_label = note()
        self.frame_kind = QComboBox()
        self.frame_kind.addItem("Shift the frame by", "shift")
        self.frame_kind.addItem("Cut the borders off", "border")
        self.shift = QSpinBox()
        self.shift.setRange(1, 512)
        self.shift.setSuffix(" pixels")
        self.frame_button = QPushButton("Show the change")
        self.frame_button.setToolTip(
            "Predicts what is in view twice, through two frames, and shows where the\n"
            "probabilities differ: the brighter, the more"
        )
        self.frame_label = note()
        self.mask = QComboBox()
        self.mask.setMinimumContentsLength(10)
        self.mask_button = QPushButton("Add as channel")
        self.mask_button.setToolTip(
            "Makes a new image of the one that is labelled and this mask, for jobs\n"
            "where it matters what else is known of a place"
        )
        self.mask_label = note()

    def _lay_out(self) -> None:
        column = scrolled_column(self, spacing=4)
        column.addWidget(heading("Network: what learns"))
        column.addWidget(self.choice)
        for widget in (self.facts, self.advice, self.advice_button, self.use_button):
            column.addWidget(widget)
        column.addWidget(self.message)
        column.addWidget(heading("What it sees at the cursor"))
        column.addWidget(self.box_check)
        column.addWidget(self.heat_check)
        column.addWidget(self.field_label)
        column.addWidget(heading("Does the frame matter?"))
        column.addLayout(row(self.frame_kind, self.shift, wide=0))
        column.addWidget(self.frame_button)
        column.addWidget(self.frame_label)
        column.addWidget(heading("A mask as one more channel"))
        column.addLayout(row(self.mask, self.mask_button, wide=0))
        column.addWidget(self.mask_label)
        column.addStretch(1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        self.choice.changed.connect(self._on_choice)
        self.use_button.clicked.connect(self.use)
        self.advice_button.clicked.connect(self.take_advice)
        self.box_check.toggled.connect(self._toggle_box)
        self.heat_check.toggled.connect(self._toggle_heat)
        self.field.said.connect(self.field_label.setText)
        self.field.seen.connect(lambda a: self.field_label.setText(field_text(a)))
        self.frame_kind.currentIndexChanged.connect(self._on_kind)
        self.frame_button.clicked.connect(self.try_frame)
        self.frame.tried.connect(self._on_tried)
        self.mask_button.clicked.connect(self.add_mask)
        self.workbench.answered.connect(self._on_answer)
        self.workbench.settings_changed.connect(self._on_settings)
        self.workbench.project_changed.connect(self._on_project)
        self.workbench.task_changed.connect(self._show_task)
        self.workbench.status_changed.connect(self._show_status)
        self.scene.opened.connect(self._on_choice)
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.connect(self._list_masks)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _on_choice(self) -> None:
        """Ask about what is chosen, once it has stood still."""
        self._say("")
        self._show_status(self.workbench.status)
        self._calm.start()

    def _ask(self) -> None:
        try:
            network, chosen = self.choice.value()
        except UserError as error:
            self.facts.setText(str(error))
            return
        project = self.workbench.project
        image = self.scene.image
        training = project.record.training if project else TrainingConfig()
        training = training.model_copy(update=chosen)
        network = usual_network(network, self.workbench.task, training)
        if project is None or image is None:
            self.workbench.ask(Describe(network))
            return
        fitted = network.model_copy(
            update={
                "in_channels": self._channels(),
                "out_channels": max(2, len(project.record.classes)),
            }
        )
        self.workbench.ask(Describe(fitted, project.folder, (image,)))

    def _channels(self) -> int:
        image = self.scene.image
        axis = image.axes.axes().channel if image is not None else None
        return 1 if image is None or axis is None else image.shape[axis]

    def _on_answer(self, answer: object) -> None:
        if not isinstance(answer, Described) or not isalive(self):
            return
        self._described = answer
        step, unit = self._step()
        self.facts.setText(facts_text(answer, step, unit))
        self.advice.setText(answer.advice)
        self.advice.setVisible(bool(answer.advice))
        self.advice_button.setVisible(answer.better is not None)
        self.field.describe(answer)

    def _step(self) -> tuple[float, str]:
        """Return the size of a pixel and its unit, empty where not known."""
        layer = self.scene.layer
        if layer is None or str(layer.units[-1]) == "pixel":
            return 1.0, ""
        return float(layer.scale[-1]), f"{layer.units[-1]:~P}"

    def _on_settings(self, network: NetworkConfig, training: TrainingConfig) -> None:
        if isalive(self):
            self.choice.load(network, training)

    def _on_project(self, project: Project) -> None:
        """Take over what the project has, unless something was chosen before."""
        if not isalive(self):
            return
        if self._wanted is not None:
            network, chosen = self._wanted
            training = project.record.training.model_copy(update=chosen)
            self.choice.load(network, training)
            self._wanted = None
            self.workbench.set_settings(network, training)
        else:
            self.choice.load(project.record.network, project.record.training)

    def _show_task(self, task: str) -> None:
        if isalive(self):
            self.choice.show_task(task)
            self._on_choice()

    def _show_status(self, status: Status) -> None:
        if not isalive(self):
            return
        free = status.state in ("ready", "dead")
        used = free and self._is_used()
        self.use_button.setEnabled(free and not used)
        self.use_button.setText("✓ In use" if used else "Use it")
        self.use_button.setToolTip("" if free else "Stop the training first")

    def _is_used(self) -> bool:
        project = self.workbench.project
        if project is None:
            return False
        try:
            network, chosen = self.choice.value()
        except UserError:
            return False
        training = project.record.training
        same = training.model_copy(update=chosen) == training
        return same and network == project.record.network

    def _toggle_box(self, shown: bool) -> None:
        self.field_label.setText("")
        self.field.show_box(shown)

    def _toggle_heat(self, shown: bool) -> None:
        self.field_label.setText("")
        self.field.show_heat(shown)

    def _on_kind(self) -> None:
        self.shift.setVisible(self.frame_kind.currentData() == "shift")
        self.frame_label.setText("")

    def _on_tried(self, answer: object) -> None:
        self.frame_button.setEnabled(True)
        self.frame_label.setText(frame_text(answer))  # type: ignore[arg-type]

    def _own(self) -> tuple[object, ...]:
        return (self.scene.strokes, self.scene.prediction, self.scene.masks)

    def _list_masks(self, _event: object = None) -> None:
        if not isalive(self):
            return
        names = [layer.name for layer in masks_for(self.viewer, self._own())]
        if names != [self.mask.itemText(i) for i in range(self.mask.count())]:
            self.mask.clear()
            self.mask.addItems(names)
        self.mask_button.setEnabled(bool(names))
        self.mask.setPlaceholderText("" if names else "open it as Labels first")
