"""The whole job by mouse, in a real viewer."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_fcn.data.readers import open_image
from napari_fcn.engine.model import load_model

SCALE = (2.0, 0.5, 0.5)


def paint_both_classes(window) -> None:
    canvas = window.canvas
    QTest.keyClick(canvas, Qt.Key.Key_2)
    assert window.train.scene.strokes.selected_label == 2
    window.drag((32, 24), (32, 40))
    window.drag((96, 90), (96, 104))
    QTest.keyClick(canvas, Qt.Key.Key_1)
    assert window.train.class_list.current() == 1
    window.drag((64, 10), (64, 110))
    window.drag((8, 64), (30, 64))


def start(window, path):
    window.train.image_box.open_path(path)
    QTest.qWait(100)
    QTest.mouseClick(window.train.image_box.start_button, Qt.MouseButton.LeftButton)
    window.make_quick()
    QTest.qWait(100)


def test_open_paint_train_correct_export(window, stack_file, tmp_path):
    path, truth = stack_file
    book, scene = window.workbench, window.host.scene
    start(window, path)
    assert tuple(scene.strokes.scale) == pytest.approx(SCALE)
    paint_both_classes(window)
    middle = window.viewer.dims.current_step[0]
    store = book.labels(scene.image.key)
    painted = store[middle]
    assert {1, 2} <= set(np.unique(painted))
    assert (truth[middle][painted > 0] == painted[painted > 0]).mean() > 0.9
    # In the log once the button was released, in the labels a moment later.
    folder = book.project.folder
    np.testing.assert_array_equal(scene.image.strokes(folder)[middle], painted)
    window.until(lambda: not store.dirty, "writing")
    np.testing.assert_array_equal(
        scene.image.labels(book.project.folder)[middle], painted
    )

    QTest.mouseClick(window.train.train_button, Qt.MouseButton.LeftButton)
    assert window.train.train_button.text() == "Pause"
    seen = []
    book.shown.connect(lambda _: seen.append(np.asarray(scene.prediction.data[middle])))
    window.until(lambda: len(seen) >= 2, "two predictions")
    window.until(
        lambda: (seen[-1] == 2).any() and (seen[0] != seen[-1]).any(),
        "a prediction that changes",
    )

    # corrections reach the engine while it trains
    before = (store[middle] > 0).sum()
    window.drag((120, 10), (120, 60))
    assert (store[middle] > 0).sum() > before
    step = book.status.step
    window.until(lambda: book.status.step >= max(100, step + 5), "more steps")
    assert window.train.curve.points > 3
    assert window.train.score.text().startswith("Score on")
    QTest.mouseClick(window.train.stop_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.state == "ready", "the end of training")
    assert load_model(book.project.model).config.training["steps"] >= 100

    QTest.mouseClick(window.apply.apply_button, Qt.MouseButton.LeftButton)
    window.until(lambda: scene.masks is not None, "the masks")
    masks = np.asarray(scene.masks.data)
    overlap = ((masks == 2) & (truth == 2)).sum() * 2
    assert overlap / ((masks == 2).sum() + (truth == 2).sum()) > 0.7
    target = tmp_path / "masks.tif"
    window.apply.save_to(target)
    window.until(target.exists, "the file")
    window.until(lambda: not book.status.job, "the end of saving")
    opened = open_image(target)
    np.testing.assert_array_equal(np.asarray(opened.data), masks)
    assert opened.axes.names == "ZYX"
    assert opened.axes.scale == pytest.approx(SCALE)
    assert opened.axes.units == ("micrometer",) * 3


def test_the_engine_is_killed_while_training(window, stack_file):
    path, _ = stack_file
    book, scene = window.workbench, window.host.scene
    start(window, path)
    paint_both_classes(window)
    labels = np.asarray(scene.strokes.data)
    window.train.toggle()
    window.until(lambda: book.status.step > 3, "steps")
    window.train.toggle()
    window.until(lambda: book.status.state == "paused", "the pause")
    window.train.toggle()
    window.until(lambda: book.status.state == "training", "going on")
    os.kill(book.engine_pid, signal.SIGKILL)
    window.until(lambda: book.status.state == "dead", "the death")
    assert "labels are safe" in window.train.message.text()
    assert window.train.message.isVisibleTo(window.train)
    assert window.train.train_button.text() == "Restart and go on"
    window.drag((120, 10), (120, 60))  # painting works all the same
    assert (np.asarray(scene.strokes.data) != labels).any()
    step = book.status.step
    QTest.mouseClick(window.train.train_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.step > step, "steps after the restart")
    assert any("Going on from step" in text for text in window.said)


def test_undo_is_on_disk_and_reaches_the_engine(window, stack_file):
    path, _ = stack_file
    book, scene = window.workbench, window.host.scene
    start(window, path)
    paint_both_classes(window)
    middle = window.viewer.dims.current_step[0]
    store = book.labels(scene.image.key)
    before = store[middle]
    window.drag((120, 10), (120, 60))
    assert (store[middle] != before).any()
    scene.strokes.undo()
    window.until(lambda: not store.dirty, "writing")
    on_disk = scene.image.labels(book.project.folder)[middle]
    np.testing.assert_array_equal(on_disk, before)
    scene.strokes.redo()
    window.until(lambda: not store.dirty, "writing")
    assert (scene.image.labels(book.project.folder)[middle] != before).any()


def test_the_class_list_and_the_controls_of_napari_agree(window, stack_file):
    start(window, stack_file[0])
    strokes, classes = window.host.scene.strokes, window.train.class_list
    strokes.selected_label = 1
    assert classes.current() == 1
    strokes.selected_label = 0
    assert classes.current() == 0
    strokes.selected_label = 2
    assert classes.current() == 2
    strokes.selected_label = 7  # as "new" of napari's controls may do
    assert strokes.selected_label == classes.current() == 2
    assert "There is no class 7" in window.train.message.text()


def test_training_without_strokes_says_what_to_do(window, stack_file):
    start(window, stack_file[0])
    window.train.toggle()
    assert "paint a stroke of each class" in window.train.message.text()
    QTest.keyClick(window.canvas, Qt.Key.Key_1)
    window.drag((64, 10), (64, 110))
    window.train.toggle()
    window.until(lambda: "another class" in window.train.message.text(), "the word")
    assert window.train.train_button.text() == "Train"
