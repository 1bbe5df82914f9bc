"""Corrections on a viewer without a window, with predictions laid out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from tests.engines import NoEngine

from napari_fcn.config import ClassInfo
from napari_fcn.data import samples
from napari_fcn.widgets.correct_dock import CorrectDock
from napari_fcn.widgets.host import Host
from napari_fcn.workbench.protocol import Suggested
from napari_fcn.workbench.session import Workbench

CLASSES = (
    ClassInfo(value=1, name="background", background=True),
    ClassInfo(value=2, name="cell"),
    ClassInfo(value=3, name="debris"),
)


@pytest.fixture
def dock(qtbot, tmp_path):
    viewer = ViewerModel()
    book = Workbench(tmp_path / "home", NoEngine)
    host = Host(viewer, book)
    layer = viewer.add_image(samples.blobs(3, 64)[0], name="cells", scale=(2, 0.5, 0.5))
    host.scene.work_on(layer, "ZYX")
    book.set_classes(CLASSES)
    found = CorrectDock(viewer, host)
    qtbot.addWidget(found)
    predicted = book.prediction(host.scene.image.key)
    predicted[1, 10:20, 10:20] = 2
    predicted[1, 40:50, 40:50] = 3
    viewer.dims.set_current_step(0, 1)
    yield found
    host.close()


def labels(dock):
    return np.asarray(dock.scene.strokes.data)


def click(dock, z, y, x) -> None:
    """A click on a pixel, as napari tells of one."""
    world = dock.scene.strokes.data_to_world((z, y, x))
    callback = dock.scene.strokes.mouse_drag_callbacks[-1]
    event = SimpleNamespace(type="mouse_press", position=tuple(world))
    steps = callback(dock.scene.strokes, event)
    next(steps)
    event.type = "mouse_release"
    with pytest.raises(StopIteration):
        next(steps)


def choose(dock, text) -> None:
    dock.spot_class.setCurrentIndex(dock.spot_class.findText(text))


def test_one_click_mends_a_wrong_spot_and_undo_takes_it_back(dock):
    dock._on_opened()
    dock.spot_button.setChecked(True)
    choose(dock, "background")
    click(dock, 1, 15, 15)
    assert (labels(dock)[1, 10:20, 10:20] == 1).all()
    assert (labels(dock) > 0).sum() == 100
    assert "100 pixels changed" in dock.message.text()
    dock.scene.strokes.undo()
    assert not labels(dock).any()
    choose(dock, "as predicted (it is right)")
    click(dock, 1, 45, 45)
    assert (labels(dock)[1, 40:50, 40:50] == 3).all()
    click(dock, 1, 0, 0)  # the background is a piece, too
    assert (labels(dock)[1] == 1).sum() == 64 * 64 - 200
    dock.spot_button.setChecked(False)
    assert dock.scene.strokes.mode == "paint"


def draw(dock, *shapes) -> None:
    areas = dock.corrections.draw_areas()
    for kind, corners in shapes:
        areas.add(np.array(corners, float), shape_type=kind)


BOX = ("rectangle", [[1, 5, 5], [1, 5, 25], [1, 25, 25], [1, 25, 5]])


def test_areas_are_taken_over_and_the_rest_made_background(dock):
    dock.scene.strokes.data[1, 12, 12] = 3
    dock.workbench.flush()
    draw(dock, BOX)
    dock.take_button.click()
    inside = labels(dock)[1, 6:25, 6:25]
    assert (inside > 0).all()
    assert (inside == 2).sum() == 99
    assert labels(dock)[1, 12, 12] == 3
    assert not labels(dock)[0].any()
    assert not labels(dock)[1, 30:].any()
    assert dock.corrections.areas.nshapes == 0
    dock.take_button.click()
    assert "Draw an area first" in dock.message.text()
    draw(dock, ("polygon", [[2, 30, 30], [2, 30, 50], [2, 50, 30]]))
    dock.fill_button.click()
    assert labels(dock)[2, 35, 35] == 1
    assert labels(dock)[2, 48, 48] == 0
    dock.scene.strokes.undo()
    dock.scene.strokes.undo()
    assert (labels(dock) > 0).sum() == 1


def test_predicted_objects_in_an_area_become_another_class(dock):
    dock.scene.strokes.data[1, 12, 12] = 2
    dock.workbench.flush()
    draw(dock, BOX)
    dock._on_opened()
    dock.area_class.setCurrentIndex(dock.area_class.findText("objects are debris"))
    dock.take_button.click()
    assert (labels(dock)[1, 10:20, 10:20] == 3).all()  # also where it was painted
    assert (labels(dock) > 0).sum() == 100
    dock.scene.strokes.undo()
    assert (labels(dock) > 0).sum() == 1


def test_what_is_for_testing_is_seen_and_taken_back(dock):
    draw(dock, BOX)
    dock.test_button.click()
    shown = dock.corrections.tested
    assert shown in dock.scene.viewer.layers
    assert shown.nshapes == 1
    np.testing.assert_allclose(np.asarray(shown.scale), (2, 0.5, 0.5))
    (box,) = dock.workbench.project.record.images[0].testing
    np.testing.assert_array_equal(
        shown.data[0].min(0), [1, box[1][0] - 0.5, box[2][0] - 0.5]
    )
    asked = dock.workbench._engine.asked[-1]
    assert asked.image.testing == (box,)  # a run that goes on hears of it
    assert dock.scene.viewer.layers.selection.active is not shown
    dock.learn_button.click()
    assert dock.workbench.project.record.images[0].testing == ()
    assert dock.corrections.tested is None
    assert shown not in dock.scene.viewer.layers
    assert not dock.learn_button.isEnabled()


def test_a_dense_mask_from_a_file_of_single_objects(dock, tmp_path):
    mask = np.zeros((3, 64, 64), np.int32)
    mask[:2, ::2, 5] = 1 + np.arange(64).reshape(2, 32)
    np.save(tmp_path / "cells.npy", mask)
    dock.take_mask_file(tmp_path / "cells.npy")
    assert "Took cells" in dock.message.text()
    np.testing.assert_array_equal(labels(dock), np.where(mask, 2, 1))
    np.save(tmp_path / "photo.npy", np.ones((3, 64, 64)))
    dock.take_mask_file(tmp_path / "photo.npy")
    assert "no whole numbers" in dock.message.text()
    dock.take_mask_file(tmp_path / "missing.npy")
    assert "no file" in dock.message.text()


def test_areas_and_images_for_testing(dock):
    draw(dock, BOX)
    dock.test_button.click()
    image = dock.workbench.project.record.images[0]
    assert len(image.testing) == 1
    (z, y, x) = image.testing[0]
    assert z == (1, 2)
    assert y[0] in (5, 6)
    assert y[1] in (25, 26)
    assert x == y
    dock.test_check.setChecked(True)
    assert dock.workbench.project.record.images[0].testing == (
        ((0, 3), (0, 64), (0, 64)),
    )
    dock._on_opened()
    assert dock.test_check.isChecked()
    dock.test_check.setChecked(False)
    assert dock.workbench.project.record.images[0].testing == ()


@pytest.mark.parametrize(("value", "painted"), [(255, 2), (1, 2)])
def test_a_dense_mask_of_one_number(dock, value, painted):
    mask = np.zeros((3, 64, 64), np.uint8)
    mask[0, :5] = value
    dock.scene.viewer.add_labels(mask, name="mask")
    dock.mask_button.click()
    assert "0 in it is background" in dock.message.text()
    np.testing.assert_array_equal(labels(dock), np.where(mask, painted, 1))
    dock.scene.strokes.undo()
    assert not labels(dock).any()


def test_a_dense_mask_of_classes_and_one_that_does_not_fit(dock):
    dock.mask_button.click()
    assert "Open the mask as a Labels layer" in dock.message.text()
    mask = np.zeros((3, 64, 64), np.uint8)
    mask[0, :5], mask[0, 5:9] = 3, 4
    dock.scene.viewer.add_labels(mask, name="mask")
    dock.mask_button.click()
    np.testing.assert_array_equal(labels(dock), np.where(mask, mask, 1))
    assert [c.value for c in dock.scene.classes()] == [1, 2, 3, 4]
    wrong = dock.scene.viewer.add_labels(np.ones((3, 9, 9), np.uint8), name="wrong")
    dock.scene.viewer.layers.selection = {wrong}
    dock.mask_button.click()
    assert "choose another layer" in dock.message.text()


def test_the_next_place_is_shown(dock):
    dock.next_button.click()
    asked = dock.workbench._engine.asked[-1]
    assert [i.key for i in asked.images] == [dock.scene.image.key]
    region = (slice(2, 3), slice(40, 41), slice(8, 9))
    suggest(dock, region)
    assert dock.scene.viewer.dims.current_step[0] == 2
    camera = getattr(dock.scene.viewer, "scene", dock.scene.viewer).camera
    assert tuple(camera.center[-2:]) == pytest.approx((20, 4))
    assert "70% unsure" in dock.message.text()
    dock.next_button.click()
    before = dock.workbench._engine.asked[-1].before
    assert before == ((dock.scene.image.key, region),)


def suggest(dock, region) -> None:
    dock.workbench._on_suggested(Suggested(dock.scene.image.key, region, 0.7, 16))


def paint(dock, z, y, x) -> None:
    strokes = dock.scene.strokes
    strokes.selected_label, strokes.brush_size = 2, 3
    with strokes.block_history():  # as the mouse does
        strokes.paint((z, y, x), 2)


def rings(dock) -> list:
    return [x for x in dock.scene.viewer.layers if x.name.endswith("paint here")]


def test_a_ring_is_around_the_next_place_until_it_is_painted(dock):
    layers, place = dock.scene.viewer.layers, (slice(2, 3), slice(40, 41), slice(9, 10))
    before = list(layers)
    suggest(dock, place)
    (ring,) = rings(dock)
    np.testing.assert_array_equal(ring.data, [[2, 40, 9]])
    np.testing.assert_allclose(ring.scale, dock.scene.strokes.scale)
    assert layers.selection.active is dock.scene.strokes
    assert not ring.editable
    paint(dock, 1, 40, 9)  # another slice
    paint(dock, 2, 49, 9)
    assert rings(dock) == [ring]
    dock.scene.layer.scale = (3, 1, 1)
    dock.scene.layer.name = "nuclei"
    np.testing.assert_allclose(ring.scale, (3, 1, 1))
    assert ring.name == "nuclei – paint here"
    suggest(dock, (slice(1, 2), slice(20, 21), slice(45, 46)))
    (ring,) = rings(dock)  # it is in one place only
    np.testing.assert_array_equal(ring.data, [[1, 20, 45]])
    paint(dock, 1, 20, 50)
    assert list(layers) == before
    suggest(dock, place)
    layers.remove(rings(dock)[0])  # by the user
    paint(dock, 2, 40, 9)
    suggest(dock, (slice(1, 2), slice(45, 46), slice(45, 46)))
    dock._on_opened()
    dock.spot_button.setChecked(True)
    choose(dock, "background")
    click(dock, 1, 45, 45)  # a correction is as good as a stroke
    assert list(layers) == before
    suggest(dock, place)
    other = dock.scene.viewer.add_image(np.zeros((3, 64, 64)), name="other")
    dock.scene.work_on(other, "ZYX")
    assert not rings(dock)


def test_the_ring_is_not_drawn_into_a_corner_of_other_slices(dock):
    dims = dock.scene.viewer.dims
    suggest(dock, (slice(2, 3), slice(40, 41), slice(9, 10)))
    (ring,) = rings(dock)
    assert dims.current_step[0] == 2
    assert ring.canvas_size_limits[0] > 0
    dims.set_current_step(0, 1)
    assert ring.canvas_size_limits[0] == 0
    dims.set_current_step(0, 2)
    assert ring.canvas_size_limits[0] > 0


def test_the_ring_in_3d_and_on_channels(qtbot, tmp_path):
    viewer, book = ViewerModel(), Workbench(tmp_path / "home", NoEngine)
    host = Host(viewer, book)
    image = np.random.default_rng(0).random((5, 2, 32, 32), np.float32)
    host.scene.work_on(viewer.add_image(image, name="cells"), "ZCYX")
    book.set_settings(
        book.project.record.network.model_copy(update={"ndim": 3}),
        book.project.record.training,
    )
    dock = CorrectDock(viewer, host)
    qtbot.addWidget(dock)
    suggest(dock, (slice(2, 3), slice(10, 11), slice(20, 21)))
    (ring,) = rings(dock)
    np.testing.assert_array_equal(ring.data, [[2, 0, 10, 20], [2, 1, 10, 20]])
    book.labels(host.scene.image.key)[4, 12, 20] = 1  # two slices further
    host.scene.strokes.events.paint(value=[])
    assert not rings(dock)
    host.close()


def test_without_an_image_or_prediction_it_says_what_to_do(qtbot, tmp_path, dock):
    dock.workbench.prediction(dock.scene.image.key)[...] = 0
    dock.spot_button.setChecked(True)
    click(dock, 1, 15, 15)
    assert "train first" in dock.message.text()
    host = Host(ViewerModel(), Workbench(tmp_path / "empty", NoEngine))
    empty = CorrectDock(host.viewer, host)
    qtbot.addWidget(empty)
    for button in (empty.draw_button, empty.take_button, empty.fill_button):
        button.click()
        assert "Choose an image first" in empty.message.text()
    empty.spot_button.setChecked(True)
    assert not empty.spot_button.isChecked()
    empty.next_button.click()
    assert "choose an image first" in empty.message.text()
    host.close()
