"""Counting by mouse in a real viewer: dots, areas, boxes, typed counts, points."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_fcn.config import CountingSettings
from napari_fcn.project.targets import read_targets

SIZE = 128


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


def test_dot_train_correct_a_count_and_apply(window, spots, tmp_path):
    image, places = spots
    book, scene, dock = window.workbench, window.host.scene, window.train
    start(window, image)
    assert dock.task_choice.currentText().startswith("Count")
    assert dock.count_panel.isVisibleTo(dock)
    assert not dock.import_button.isVisibleTo(dock)
    assert not dock.regress_panel.isVisibleTo(dock)
    for place in places:
        QTest.mouseClick(
            window.canvas, Qt.MouseButton.LeftButton, pos=window.at(*place)
        )
        QTest.qWait(5)
    kept = np.array([d.place for d in targets(window).dots])
    assert len(kept) == len(places)
    assert np.abs(kept - places).max() < 1.5
    dock.count_panel.load()
    assert f"{len(places)} of" in dock.count_panel.number.text()

    # the right third is no complete area; a box there, drawn by hand, is counted
    scene.targets.areas.add_rectangles(np.array([[0, 0], [127, 90]]))
    assert len(targets(window).dotted) == 1
    QTest.mouseClick(dock.count_panel.box_button, Qt.MouseButton.LeftButton)
    window.drag((4, 98), (60, 122))
    assert len(targets(window).boxes) == 1

    QTest.mouseClick(dock.train_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.step >= 60, "steps")
    table = dock.count_panel.table
    window.until(lambda: any(c.place == 0 for c in table.counts), "a count")
    window.until(lambda: any(c.deviation for c in table.counts), "how certain it is")
    row = next(i for i, c in enumerate(table.counts) if c.place == 0)
    table.table.item(row, 3).setText("9")
    assert targets(window).boxes[0].counts == {2: 9.0}
    step = book.status.step
    window.until(lambda: book.status.step >= step + 5, "steps with the count")
    QTest.mouseClick(dock.stop_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.state == "ready", "the end of training")
    window.until(lambda: any(c.place == -1 for c in table.counts), "the whole slice")
    texts = list(scene.targets.boxes.features["count"])
    assert float(texts[0]) > 0

    points = dock.count_panel.find_objects()
    assert len(points.data) > len(places) / 2

    QTest.mouseClick(window.apply.apply_button, Qt.MouseButton.LeftButton)
    window.until(lambda: scene.wholes and not book.status.job, "the whole density")
    assert "(whole image)" in scene.wholes[0].name
    window.apply.save_to(tmp_path / "counts.csv")
    lines = (tmp_path / "counts.csv").read_text().splitlines()
    assert lines[0].startswith("image,slice,region,class,count,deviation")
    assert len(lines) == 3  # the image, and the box

    # another task shows other layers; what was dotted stays on disk, and comes back
    before = targets(window)
    dock.task_choice.chosen.emit("segmentation")
    assert scene.strokes in window.viewer.layers
    assert scene.targets.dots is None
    dock.task_choice.chosen.emit("density")
    assert targets(window) == before
    assert len(scene.targets.dots.data) == len(places)


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
