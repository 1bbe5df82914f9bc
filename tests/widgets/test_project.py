"""Projects in a real viewer: dropped on it, listed, moved, images found again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QCloseEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox
from tests.disks import small_disk
from tests.engines import NoEngine

from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.engine.model import load_model
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.history import History
from napari_fcn.project.snapshots import Snapshot
from napari_fcn.widgets.host import Host
from napari_fcn.widgets.opening import get_project_reader, open_project
from napari_fcn.widgets.preference import prefer_for_projects
from napari_fcn.widgets.project_dock import ProjectDock, _title
from napari_fcn.widgets.train_dock import TrainDock
from napari_fcn.workbench.session import Workbench

AXES = Axes.of("ZYX", (2.0, 0.5, 0.5), "micrometer")


@pytest.fixture
def made(tmp_path):
    """A project of two images, one linked and one copied, each with a stroke."""
    home = tmp_path / "home"
    book = Workbench(home)
    first, _ = samples.blobs(3, 96)
    np.save(tmp_path / "linked.npy", first)
    entries = [book.add_image(first, AXES, "linked", tmp_path / "linked.npy")]
    entries.append(book.add_image(first[:2, :64], AXES, "copied"))
    for number, entry in enumerate(entries):
        book.labels(entry.key)[1, 20:30, 20:30] = 1 + number
    book.close()
    history = History(book.project.history)
    history.note_loss("segmentation", 12, 3.5, 0.7)
    history.note_score("segmentation", 12, 3.5, 0.8, held_out=True)
    return book.project.folder


def test_reopened_with_strokes_scale_and_undo(window, made):
    dock = ProjectDock(window.viewer, window.host)
    window.viewer.window.add_dock_widget(dock)
    dock.open(made)
    scene = window.host.scene
    assert dock.message.text() == ""
    assert tuple(scene.strokes.scale) == AXES.scale
    assert scene.strokes.data[1, 25, 25] == 1
    assert window.train.paint_box.isEnabled()
    assert str(made.name) in window.train.place.text()
    assert [list(line.xData) for line in window.train.curve.lines] == [[3.5], [3.5]]
    window.viewer.dims.set_current_step(0, 0)
    QTest.keyClick(window.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not np.asarray(scene.strokes.data).any()
    assert window.viewer.dims.current_step[0] == 1  # where the stroke was
    # the other image
    assert [dock.image_list.item(i).text() for i in range(2)] == ["linked", "copied"]
    dock.image_list.setCurrentRow(1)
    dock.show_chosen_image()
    assert scene.image.name == "copied"
    assert scene.strokes.data[1, 25, 25] == 2
    dock.image_list.setCurrentRow(0)
    dock.show_chosen_image()
    images = [x for x in window.viewer.layers if x.name in ("linked", "copied")]
    assert len(images) == 2  # shown once each


def test_a_project_dropped_on_the_window(make_napari_viewer, made, monkeypatch):
    viewer = make_napari_viewer()
    monkeypatch.setattr(get_settings().plugins, "extension2reader", {})
    prefer_for_projects()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(made))])
    drop = QDropEvent(
        QPointF(90, 90),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    monkeypatch.setattr(QtReaderDialog, "exec_", lambda _: pytest.fail("it asks"))
    viewer.window._qt_viewer.dropEvent(drop)
    dock = viewer.window._qt_window.findChild(TrainDock)
    try:
        assert dock.scene.strokes.data[1, 25, 25] == 1
        assert dock.workbench.project.folder == made
    finally:
        dock.workbench.close()


def test_what_is_no_project_is_left_to_others(tmp_path, made):
    assert get_project_reader(str(tmp_path)) is None
    assert get_project_reader([str(made)]) is None
    assert get_project_reader(str(made)) is not None


def test_a_missing_image_is_said_and_found(window, made, tmp_path):
    shutil.move(tmp_path / "linked.npy", tmp_path / "renamed.npy")
    dock = ProjectDock(window.viewer, window.host)
    dock.open(made)
    assert any("no file" in text for text in window.said)
    assert window.host.scene.image.name == "copied"  # the one that is there
    assert "missing" in dock.image_list.item(0).text()
    dock.image_list.setCurrentRow(0)
    dock.find(tmp_path / "renamed.npy")
    assert dock.message.text() == ""
    assert window.host.scene.image.name == "linked"
    assert window.host.scene.strokes.data[1, 25, 25] == 1
    dock.deleteLater()


def test_a_project_in_use_and_one_that_is_none(window, made, tmp_path):
    other = Workbench(tmp_path / "home")
    other.open_project(made)
    dock = ProjectDock(window.viewer, window.host)
    dock.open(made)
    assert "close it there first" in dock.message.text()
    dock.open(tmp_path)
    assert "no project" in dock.message.text()
    other.close()
    with pytest.raises(UserError):
        open_project(window.host, tmp_path)
    dock.deleteLater()


def test_moved_from_the_dock_while_shown(window, made, tmp_path):
    dock = ProjectDock(window.viewer, window.host)
    dock.open(made)
    dock.image_list.setCurrentRow(1)
    dock.show_chosen_image()
    (tmp_path / "new").mkdir()
    dock.move_to(tmp_path / "new")
    scene = window.host.scene
    assert dock.message.text() == ""
    assert scene.strokes.data[1, 25, 25] == 2
    assert np.asarray(scene.layer.data).any()
    assert window.workbench.project.folder == tmp_path / "new" / made.name
    assert not made.exists()
    dock.deleteLater()


def test_networks_of_the_same_second_have_titles_of_their_own(tmp_path):
    one, other = (Snapshot(tmp_path, 1e9, steps, None) for steps in (6, 12))
    assert _title(one) != _title(other)


def test_networks_compared_and_returned_to(window, made):
    dock = ProjectDock(window.viewer, window.host)
    dock.open(made)
    window.make_quick()
    assert not dock.compare_button.isEnabled()
    window.workbench.labels("linked")[0, :9] = 2
    for wanted in (1, 2):
        window.workbench.train()
        before = window.workbench.status.step
        window.until(lambda b=before: window.workbench.status.step > b + 5, "steps")
        window.workbench.stop()
        window.until(lambda: window.workbench.status.state == "ready", "the end")
        window.until(lambda w=wanted: dock.model_list.count() == w, "a snapshot")
    dock.model_list.selectAll()
    assert not dock.return_button.isEnabled()  # which one?
    dock.compare_button.click()
    window.until(lambda: "They differ on" in dock.message.text(), "the comparison")
    names = [layer.name for layer in window.viewer.layers]
    earlier, later = dock._compared
    assert f"linked – {earlier}" in names
    assert f"linked – {later}" in names
    layers = {layer.name: layer for layer in window.viewer.layers}
    one, other = (layers[f"linked – {when}"] for when in (earlier, later))
    differing = np.asarray(layers["linked – differing"].data)
    np.testing.assert_array_equal(
        differing, np.asarray(one.data) != np.asarray(other.data)
    )
    assert not np.allclose(one.get_color(2), other.get_color(2), atol=0.3)
    assert not window.host.scene.prediction.visible
    window.host.scene.layer.name = "tissue"
    assert one.name == f"tissue – {earlier}"
    window.host.scene.layer.name = "linked"
    compared = [one, other, layers["linked – differing"]]
    window.viewer.layers.selection = set(compared)
    window.viewer.layers.remove_selected()
    assert window.host.scene.prediction.visible
    dock.compare_button.click()
    window.until(lambda: not window.host.scene.prediction.visible, "the comparison")
    dock.model_list.clearSelection()
    dock.model_list.setCurrentRow(1)
    steps = dock._models[1].steps
    dock.return_button.click()
    assert "Train goes on from it" in dock.message.text()
    assert window.host.scene.prediction.visible
    assert "linked – differing" not in window.viewer.layers
    assert window.workbench.status.step == 0
    assert load_model(window.workbench.project.model).config.training["steps"] == steps
    dock.compare_button.click()
    window.until(lambda: "now" in dock.message.text(), "the comparison with now")
    assert "differ on 0.0%" in dock.message.text()
    dock.deleteLater()


def test_closing_over_strokes_that_no_disk_takes(
    make_napari_viewer, tmp_path, monkeypatch
):
    with small_disk(tmp_path / "disk") as disk:
        viewer = make_napari_viewer()
        window = viewer.window._qt_window
        host = Host(viewer, Workbench(disk.folder, NoEngine), window)
        layer = viewer.add_image(samples.blobs(2, 64)[0], name="cells")
        image = host.scene.work_on(layer, "ZYX")
        host.workbench.flush()
        disk.fill()
        said, asked = [], []
        host.workbench.said.connect(said.append)
        for z in range(2):  # painting goes on
            host.scene.strokes.data[z, 5:40, 5:40] = 1 + z
            host.workbench.keep_stroke(image.key)
            host.workbench.try_again()
        host.scene.strokes.undo()
        assert len(said) == 1
        assert "kept in memory" in said[0]
        assert host.workbench.unwritten

        def ask():
            asked.append(1)
            if len(asked) == 2:
                disk.make_room()
                return QMessageBox.StandardButton.Retry
            return QMessageBox.StandardButton.Cancel

        monkeypatch.setattr(host, "ask", ask)
        assert not host.may_close()
        event = QCloseEvent()
        assert not host.eventFilter(window, event)  # there is room now
        assert len(asked) == 2
        assert said[-1] == "There is room again: all strokes are written."
        host.close()
        found = Project.open(host.workbench.project.folder).record.images[0]
        kept = found.strokes(host.workbench.project.folder)
        assert (kept[0, 5:40, 5:40] == 1).all()
        assert not kept[1].any()
        assert kept.can_redo


def test_an_image_that_an_earlier_project_has(window, made, tmp_path):
    dock = window.train
    dock.image_box.open_path(tmp_path / "linked.npy")
    QTest.mouseClick(dock.image_box.start_button, Qt.MouseButton.LeftButton)
    assert window.workbench.project.folder != made
    assert f"The project {made.stem} has this image already" in dock.message.text()
    assert dock.message.isVisibleTo(dock)


def test_the_start_list(window, made, stack_file):
    window.workbench.recent.note(made)
    dock = ProjectDock(window.viewer, window.host)
    assert dock.recent_list.count() == 1
    assert dock.recent_list.item(0).text().startswith(made.stem)
    item = dock.recent_list.item(0)
    dock.recent_list.itemDoubleClicked.emit(item)
    assert window.workbench.project.folder == made
    assert dock.recent_list.count() == 0  # the open one is above
    pictures = list((made / "images").glob("*.png"))
    assert len(pictures) == 1
    assert not dock.image_list.item(0).icon().isNull()
    window.train.image_box.open_path(stack_file[0])
    window.train.start()
    assert dock.image_list.count() == 3  # taken into the open project
    assert len(Project.open(made).record.images) == 3
    dock.deleteLater()
