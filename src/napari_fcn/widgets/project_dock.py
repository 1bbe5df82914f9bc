"""The dock "Project": recent projects, where it is kept, its images and its models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_fcn.errors import UserError
from napari_fcn.project.snapshots import Snapshot, snapshots
from napari_fcn.widgets.host import Host, host_of, tabify
from napari_fcn.widgets.opening import open_project, show_image
from napari_fcn.widgets.pieces import button, heading, note, row, short_path
from napari_fcn.widgets.reader import PATH
from napari_fcn.widgets.scrolled import scrolled_column
from napari_fcn.widgets.thumbnail import icon, thumbnail_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_fcn.project import Project, ProjectImage
    from napari_fcn.workbench.protocol import Compared

_ICON = QSize(44, 44)
_KEY = Qt.ItemDataRole.UserRole
_Selection = QListWidget.SelectionMode
_ROWS = 2.6


class ProjectDock(QWidget):
    """What belongs to a project, and the projects worked on lately.

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
        self.workbench = self.host.workbench
        self._models: list[Snapshot] = []
        self.place = note("")
        self.home = note("")
        self.message = note("")
        self.recent_list = _list("Double-click to open")
        self.image_list = _list("Double-click to show; its strokes come with it")
        self.open_button = button("Open…", "Open a folder that ends in .fcnproj")
        self.move_button = button("Move…", "Move this project to another folder")
        self.home_button = button("Change…", "Where new projects are made")
        self.find_button = button("Find its file…", "Say where the image lies now")
        self.model_list = _list("As it was at these times; Ctrl-click chooses two")
        self.model_list.setSelectionMode(_Selection.ExtendedSelection)
        self.compare_button = button(
            "Compare",
            "On the screen: the chosen one with that of now, or two with each other",
        )
        self.return_button = button("Go back to it", "Show it, and train on from it")
        self._compared = ("", "")
        self.images_box = QWidget()
        self._lay_out()
        self._connect()
        self.refresh()
        QTimer.singleShot(0, lambda: tabify(self))

    def say(self, text: str) -> None:
        """Show one sentence to the user."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def refresh(self, _event: object = None) -> None:
        """Show what is there now."""
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        project = self.workbench.project
        self.place.setText(
            f"<b>{project.folder.stem}</b><br>"
            f"kept in {short_path(project.folder.parent)}"
            if project is not None
            else "None yet: open an image and press <i>Start labelling</i>, "
            "or open one of the projects below."
        )
        self.home.setText(f"New projects are made in {short_path(self.workbench.home)}")
        self.move_button.setEnabled(project is not None)
        self.images_box.setVisible(project is not None)
        self._list_images(project)
        self._list_models(project)
        self._list_recent(project)

    def open(self, folder: Path) -> None:
        """Open a project."""
        self._try(lambda: open_project(self.host, folder))

    def show_chosen_image(self) -> None:
        """Show the image that is chosen in the list."""
        image = self.chosen_image()
        if image is not None:
            self._try(lambda: show_image(self.host, image))

    def chosen_image(self) -> ProjectImage | None:
        """Return the image that is chosen in the list."""
        project, item = self.workbench.project, self.image_list.currentItem()
        if project is None or item is None:
            return None
        return project.image(item.data(_KEY))

    def find(self, path: Path) -> None:
        """Say where the chosen image lies now, and show it."""
        project, image = self.workbench.project, self.chosen_image()
        if project is None or image is None:
            return
        self._try(lambda: show_image(self.host, project.relink(image.key, path)))

    def move_to(self, parent: Path) -> None:
        """Move the project into a folder; what was shown is shown again."""
        self._try(lambda: self._move(parent))

    def _move(self, parent: Path) -> None:
        scene = self.host.scene
        key = scene.image.key if scene.image is not None else ""
        layer = scene.layer
        before = self.workbench.project
        project = self.workbench.move_project(parent)
        if layer is None or not key or before is None:
            return
        if Path(layer.metadata.get(PATH, "/")).is_relative_to(before.folder):
            self.host.viewer.layers.remove(layer)  # its pixels have moved, too
        else:
            scene.introduce(layer, project.image(key))
        show_image(self.host, project.image(key))

    def _try(self, action: Callable[[], object], text: str = "") -> None:
        self.say(text)
        try:
            action()
        except UserError as error:
            self.say(str(error))
        self.refresh()

    def _lay_out(self) -> None:
        column = scrolled_column(self)
        column.addWidget(heading("This project"))
        column.addLayout(row(self.place, self.move_button, wide=0))
        images = QVBoxLayout(self.images_box)
        images.setContentsMargins(0, 0, 0, 0)
        images.addWidget(heading("Its images"))
        images.addWidget(self.image_list)
        self.image_buttons = QHBoxLayout()
        self.image_buttons.addWidget(self.find_button)
        images.addLayout(self.image_buttons)
        images.addWidget(heading("Its networks"))
        images.addWidget(self.model_list)
        images.addLayout(row(note(), self.compare_button, self.return_button, wide=0))
        column.addWidget(self.images_box)
        column.addWidget(self.message)
        column.addWidget(heading("Recent projects"))
        column.addWidget(self.recent_list)
        column.addLayout(row(self.home, self.home_button, self.open_button, wide=0))
        column.addStretch(1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        self.recent_list.itemDoubleClicked.connect(
            lambda item: self.open(Path(item.data(_KEY)))
        )
        self.image_list.itemDoubleClicked.connect(lambda _: self.show_chosen_image())
        self.image_list.currentItemChanged.connect(self._on_image)
        self.open_button.clicked.connect(self._ask_project)
        self.move_button.clicked.connect(self._ask_where)
        self.home_button.clicked.connect(self._ask_home)
        self.find_button.clicked.connect(self._ask_image)
        self.return_button.clicked.connect(self.go_back)
        self.compare_button.clicked.connect(self.compare)
        self.model_list.itemSelectionChanged.connect(self._on_model)
        self.workbench.compared.connect(self._on_compared)
        self.workbench.project_changed.connect(self.refresh)
        self.workbench.finished.connect(self.refresh)
        self.host.scene.opened.connect(self.refresh)

    def _on_image(self, _item: object = None, _before: object = None) -> None:
        self.find_button.setEnabled(self.chosen_image() is not None)

    def _list_images(self, project: Project | None) -> None:
        shown = self.host.scene.image
        self.image_list.clear()
        for image in project.record.images if project is not None else ():
            assert project is not None
            here = image.place(project.folder).exists()
            text = image.name if here else f"{image.name} – its file is missing"
            picture = thumbnail_path(project.folder, image.key)
            item = QListWidgetItem(icon(picture), text)
            item.setData(_KEY, image.key)
            item.setToolTip(str(image.place(project.folder)))
            self.image_list.addItem(item)
            if shown is not None and image.key == shown.key:
                self.image_list.setCurrentItem(item)
        self._on_image()

    def go_back(self) -> None:
        """Return to the network that is chosen in the list."""
        chosen = self._chosen_models()
        if len(chosen) == 1:
            self._try(
                lambda: self._go_back_to(chosen[0]),
                f"The network of {_title(chosen[0])} is in use now; Train goes on from "
                "it.",
            )

    def _go_back_to(self, snapshot: Snapshot) -> None:
        self.workbench.return_to(snapshot)
        self.host.scene.end_comparison()

    def compare(self) -> None:
        """Show on the screen what two networks say, or one and that of now."""
        chosen = self._chosen_models()
        if not 1 <= len(chosen) <= 2:
            return
        later = chosen[0].path if len(chosen) == 2 else None
        now = _title(chosen[0]) if len(chosen) == 2 else "now"
        self._compared = (_title(chosen[-1]), now)
        self._try(lambda: self.workbench.compare(chosen[-1].path, later))

    def _on_compared(self, event: Compared) -> None:
        shown = self.host.scene.image
        if not isalive(self) or shown is None or shown.key != event.key:
            return
        self._try(lambda: self.host.scene.show_comparison(self._compared))
        first, second = self._compared
        self.say(
            f"They differ on {event.differing:.1%} of what is on the screen (pink). "
            f"Filled: {first}. Outlines: {second}. Compare again after moving; delete "
            "the layers when done."
        )

    def _chosen_models(self) -> list[Snapshot]:
        """Return the networks that are chosen in the list, the latest first."""
        rows = sorted({i.row() for i in self.model_list.selectedIndexes()})
        return [self._models[row] for row in rows if row < len(self._models)]

    def _on_model(self) -> None:
        chosen = len(self._chosen_models())
        self.return_button.setEnabled(chosen == 1)
        self.compare_button.setEnabled(1 <= chosen <= 2)

    def _list_models(self, project: Project | None) -> None:
        chosen = {model.path for model in self._chosen_models()}
        self._models = snapshots(project) if project is not None else []
        self.model_list.clear()
        for found in self._models:
            when = datetime.fromtimestamp(found.time).strftime("%d %b %Y, %H:%M:%S")
            score = "no score" if found.score is None else f"score {found.score:.2f}"
            self.model_list.addItem(f"{when}\n{found.steps} steps, {score}")
        rows = [n for n, m in enumerate(self._models) if m.path in chosen] or [0]
        for number in rows if self._models else ():
            item = self.model_list.item(number)
            if item is not None:
                item.setSelected(True)
        self._on_model()

    def _list_recent(self, project: Project | None) -> None:
        self.recent_list.clear()
        for folder in self.workbench.recent.folders():
            if project is not None and folder == project.folder:
                continue
            pictures = sorted((folder / "images").glob("*.png"))
            picture = icon(pictures[0]) if pictures else icon(folder / "none")
            item = QListWidgetItem(
                picture, f"{folder.stem}\n{short_path(folder.parent)}"
            )
            item.setData(_KEY, str(folder))
            item.setToolTip(str(folder))
            self.recent_list.addItem(item)

    def _ask_project(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Open a project (.fcnproj)", str(self.workbench.home)
        )
        if folder:
            self.open(Path(folder))

    def _ask_where(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Move the project into")
        if folder:
            self.move_to(Path(folder))

    def _ask_home(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Make new projects in")
        if folder:
            self.workbench.choose_home(Path(folder))
            self.refresh()

    def _ask_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Where the image lies now")
        if path:
            self.find(Path(path))


def _list(tip: str) -> QListWidget:
    found = QListWidget()
    found.setIconSize(_ICON)
    found.setToolTip(tip)
    found.setSpacing(1)
    found.setFixedHeight(int(_ROWS * (_ICON.height() + 6)))
    return found


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%d %b, %H:%M:%S")


def _title(snapshot: Snapshot) -> str:
    """Return what tells a network from all others, also of the same second."""
    return f"{_when(snapshot.time)} ({snapshot.steps} steps)"
