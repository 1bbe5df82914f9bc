"""Counting by mouse in a real viewer: dots, areas, boxes, typed counts, points."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_fcn.config import CountingSettings
from napari_fcn.project.targets import read_targets
from napari_fcn.widgets.correct_dock import CorrectDock
from napari_fcn.workbench.count_sums import SLICE

SIZE = 128
BOX = np.s_[4:61, 98:123]
"""The pixels of the box that is drawn by hand."""


@pytest.fixture
def spots():
    """Bright spots on a dark ground, far from each other, and where they are."""
    grid = np.mgrid[:SIZE, :SIZE]
    places = [(y, x) for y in range(12, SIZE, 26) for x in range(14, SIZE, 24)]
    image = np.random.default_rng(0).normal(0.1, 0.02, (SIZE, SIZE))
    for place in places:
        distance = ((grid - np.array(place)[:, None, None]) ** 2).sum(0)
        image += np.exp(-distance / (2 * 3.0**2))
    return image.astype(np.float32), places


def start(window, image):
    """Choose the task, open the image as the user does, and take a small network."""
    window.viewer.add_image(image, name="spots", scale=(0.5, 0.5))
    window.train.task_choice.setCurrentIndex(1)
    window.train.task_choice.chosen.emit("density")
    QTest.qWait(100)
    QTest.mouseClick(window.train.image_box.start_button, Qt.MouseButton.LeftButton)
    window.make_quick()
    window.workbench.set_counting(CountingSettings(sizes={2: 12.0}))
    window.viewer.reset_view()
    QTest.qWait(200)


def targets(window):
    """What is on disk."""
    folder = window.workbench.project.folder
    return read_targets(folder, window.host.scene.image.key)


def dot(window, places):
    """Click on every object; all of them are on disk at once."""
    panel = window.train.count_panel
    for place in places:
        QTest.mouseClick(
            window.canvas, Qt.MouseButton.LeftButton, pos=window.at(*place)
        )
        QTest.qWait(5)
    kept = np.array([d.place for d in targets(window).dots])
    assert len(kept) == len(places)
    assert np.abs(kept - places).max() < 1.5
    panel.load()
    assert f"{len(places)} of" in panel.number.text()


def train_and_correct(window):
    """Counts appear, of what is not in view too, and a typed one is learned."""
    book, dock = window.workbench, window.train
    QTest.mouseClick(dock.train_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.step >= 60, "steps")
    table = dock.count_panel.table
    window.until(lambda: any(c.place == 0 for c in table.counts), "a count")
    window.until(lambda: any(c.deviation for c in table.counts), "how certain it is")
    window.until(lambda: any(c.place == SLICE for c in table.counts), "the slice")
    assert book.status.state == "training"
    row = next(i for i, c in enumerate(table.counts) if c.place == 0)
    table.table.item(row, 3).setText("9")
    assert targets(window).boxes[0].counts == {2: 9.0}
    step = book.status.step
    window.until(lambda: book.status.step >= step + 5, "steps with the count")
    QTest.mouseClick(dock.stop_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.state == "ready", "the end of training")


def compare_with_the_map(window, places):
    """Counts are the sums of the density map that is seen; its peaks are objects."""
    scene, panel = window.host.scene, window.train.count_panel

    def settled():
        live = np.asarray(scene.targets.predictions[2].data[...], np.float64)
        sums = {SLICE: live.sum(), 0: live[BOX].sum()}
        found = {c.place: c.count for c in panel.table.counts}
        same = all(abs(found.get(p, 0) - n) < 1e-3 * n for p, n in sums.items())
        texts = list(scene.targets.boxes.features["count"])
        return same and texts == [f"{found[0]:.1f}"] and sums[SLICE]

    window.until(settled, "counts of the map as it is")
    assert len(places) / 2 < settled() < 2 * len(places)
    points = panel.find_objects()
    distance = np.linalg.norm(points.data[:, None] - np.array(places), axis=-1)
    assert (distance.min(0) < 5).mean() > 0.8


def apply_and_save(window, path):
    """The table has the sums of the map of the whole image, and of the box."""
    scene, apply = window.host.scene, window.apply
    QTest.mouseClick(apply.apply_button, Qt.MouseButton.LeftButton)
    window.until(lambda: scene.wholes and not window.workbench.status.job, "the map")
    assert "(whole image)" in scene.wholes[0].name
    apply.save_to(path)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("image,slice,region,class,count,deviation")
    whole = np.asarray(scene.wholes[0].data[...], np.float64)
    counted = [float(line.split(",")[4]) for line in lines[1:]]
    assert counted == pytest.approx([whole.sum(), whole[BOX].sum()], abs=2e-3)


def test_dot_train_correct_a_count_and_apply(window, spots, tmp_path):
    image, places = spots
    scene, dock = window.host.scene, window.train
    start(window, image)
    assert dock.task_choice.currentText().startswith("Count")
    assert dock.count_panel.isVisibleTo(dock)
    assert not dock.import_button.isVisibleTo(dock)
    assert not dock.regress_panel.isVisibleTo(dock)
    dot(window, places)
    # the right third is no complete area; a box there, drawn by hand, is counted
    scene.targets.areas.add_rectangles(np.array([[0, 0], [127, 90]]))
    assert len(targets(window).dotted) == 1
    QTest.mouseClick(dock.count_panel.box_button, Qt.MouseButton.LeftButton)
    window.drag((4, 98), (60, 122))
    assert len(targets(window).boxes) == 1
    train_and_correct(window)
    compare_with_the_map(window, places)
    apply_and_save(window, tmp_path / "counts.csv")

    # another task shows other layers; what was dotted stays on disk, and comes back
    before = targets(window)
    dock.task_choice.chosen.emit("segmentation")
    assert scene.strokes in window.viewer.layers
    assert scene.targets.dots is None
    dock.task_choice.chosen.emit("density")
    assert targets(window) == before
    assert len(scene.targets.dots.data) == len(places)


def test_points_of_another_layer_become_dots_once(window, spots):
    """In the units of the viewer, as a table that napari has opened has them."""
    image, places = spots
    start(window, image)
    panel, viewer = window.train.count_panel, window.viewer
    QTest.mouseClick(panel.take_button, Qt.MouseButton.LeftButton)
    assert "no other layer of points" in window.train.message.text()
    dot(window, places[:2])
    found = viewer.add_points(0.5 * np.array([*places, (-9, 4)]), name="found")
    QTest.mouseClick(panel.take_button, Qt.MouseButton.LeftButton)
    kept = np.array([d.place for d in targets(window).dots])
    np.testing.assert_allclose(kept[2:], places[2:] if len(kept) == len(places) else 0)
    said = f"{len(places) - 2} of {len(places) + 1} points of found became dots"
    assert said in window.train.message.text()
    assert {d.value for d in targets(window).dots} == {2}
    # of two layers one is chosen; what it has is there already
    viewer.add_points(np.zeros((0, 2)), name="none")
    QTest.mouseClick(panel.take_button, Qt.MouseButton.LeftButton)
    chosen = {action.text(): action for action in panel.menu.actions()}
    assert set(chosen) == {"found", "none"}
    panel.menu.close()
    chosen["found"].trigger()
    assert f"0 of {len(found.data)} points" in window.train.message.text()
    assert len(targets(window).dots) == len(places)
    chosen["none"].trigger()
    assert "0 of 0 points" in window.train.message.text()

    # deleted by hand, the dots stay on disk, and Start shows them again
    viewer.layers.remove(window.host.scene.targets.dots)
    button = window.train.image_box.start_button
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert len(window.host.scene.targets.dots.data) == len(places)


def test_without_dots_it_says_what_to_do_and_measures_the_size(window, spots):
    start(window, spots[0])
    window.train.toggle()
    assert "no dot yet" in window.train.message.text()

    # the size of an object, drawn by hand
    panel = window.train.count_panel
    panel.measure_size()
    window.drag((30, 30), (44, 44))
    assert panel.size.value() == pytest.approx(14, abs=1.5)
    sizes = window.workbench.project.record.counting.sizes
    assert sizes[2] == pytest.approx(panel.size.value())
    assert "draw one object here" not in window.viewer.layers


def test_a_digit_picks_only_what_is_shown(window, spots):
    image, places = spots
    start(window, image)
    for digit in (Qt.Key.Key_1, Qt.Key.Key_0, Qt.Key.Key_2):
        QTest.keyClick(window.canvas, digit)
        assert window.train.class_list.current() == 2
    dot(window, places[:2])
    assert {d.value for d in targets(window).dots} == {2}


def test_areas_are_kept_for_testing_while_objects_are_counted(window, spots):
    """Drawn in the dock Correct, or those that are dotted, which stay as they are."""
    start(window, spots[0])
    scene, dock = window.host.scene, CorrectDock(window.viewer, window.host)
    window.viewer.window.add_dock_widget(dock, name="Correct", tabify=True)
    areas = dock.corrections.draw_areas()
    areas.add_rectangles(np.array([[10, 20], [60, 90]]))
    QTest.mouseClick(dock.test_button, Qt.MouseButton.LeftButton)
    assert "dot on every object" in dock.message.text()
    (box,) = scene.image.testing
    assert np.abs(np.array(box) - ((10, 61), (20, 91))).max() <= 1
    assert dock.corrections.tested in window.viewer.layers
    scene.targets.areas.add_rectangles(np.array([[0, 0], [127, 90]]))
    window.viewer.layers.selection.active = scene.targets.areas
    QTest.mouseClick(dock.test_button, Qt.MouseButton.LeftButton)
    assert len(scene.image.testing) == 2
    assert len(targets(window).dotted) == 1
    # what is for strokes says so, and paints nothing where nobody sees it
    dock.fill_button.click()
    assert "This is for strokes" in dock.message.text()
