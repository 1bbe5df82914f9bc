"""The window on every kind of Image layer, on a bare ViewerModel without an engine."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels
from tests.engines import NoEngine

from napari_fcn.widgets.apply_dock import ApplyDock
from napari_fcn.widgets.host import Host
from napari_fcn.widgets.train_dock import TrainDock
from napari_fcn.workbench.session import Workbench


@pytest.fixture
def docks(qtbot, tmp_path):
    viewer = ViewerModel()
    host = Host(viewer, Workbench(tmp_path / "home", NoEngine))
    train, apply = TrainDock(viewer, host), ApplyDock(viewer, host)
    qtbot.addWidget(train)
    qtbot.addWidget(apply)
    yield train
    host.close()


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def multiscale(_):
    return [noise(3, 64, 96), noise(3, 64, 96)[:, ::2, ::2]]


def on_disk(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(3, 64, 96), dtype="u1")
    array[...] = noise(3, 64, 96)
    return array


KINDS = {
    "2D": (lambda _: noise(64, 96), {}, "YX", (64, 96)),
    "RGB": (lambda _: noise(64, 96, 3), {"rgb": True}, "YX", (64, 96)),
    "float": (lambda _: noise(64, 96, dtype=np.float32), {}, "YX", (64, 96)),
    "stack": (lambda _: noise(3, 64, 96), {}, "ZYX", (3, 64, 96)),
    "RGB stack": (lambda _: noise(3, 64, 96, 3), {"rgb": True}, "ZYX", (3, 64, 96)),
    "time": (lambda _: noise(9, 64, 96), {}, "TYX", (9, 64, 96)),
    "channels first": (lambda _: noise(2, 64, 96), {}, "CYX", (64, 96)),
    "channels inside": (lambda _: noise(4, 2, 64, 96), {}, "TCYX", (4, 64, 96)),
    "5D": (lambda _: noise(2, 3, 2, 64, 96), {}, "TZCYX", (2, 3, 64, 96)),
    "dask": (lambda _: da.from_array(noise(3, 64, 96)), {}, "ZYX", (3, 64, 96)),
    "zarr": (on_disk, {}, "ZYX", (3, 64, 96)),
    "multiscale": (multiscale, {"multiscale": True}, "ZYX", (3, 64, 96)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_paint_on_every_kind(docks, tmp_path, kind):
    make, options, names, shape = KINDS[kind]
    layer = Image(make(tmp_path), name="image", **options)
    layer.scale = tuple(0.5 * (i + 1) for i in range(layer.ndim))
    layer.translate = tuple(10.0 * i for i in range(layer.ndim))
    layer.units = ("micrometer",) * layer.ndim
    docks.viewer.add_layer(layer)
    docks.image_box.axes.setCurrentText(names)
    docks.start()
    assert docks.message.text() == ""
    scene, book = docks.scene, docks.workbench
    store = book.labels(scene.image.key)
    assert store.shape == shape
    strokes = scene.strokes
    for mine in (strokes, scene.prediction):
        np.testing.assert_allclose(mine.scale, layer.scale[-mine.ndim :])
        np.testing.assert_allclose(mine.translate, layer.translate[-mine.ndim :])
        assert mine.units == layer.units[-mine.ndim :]
        extent = layer.extent.world[:, -2:]
        np.testing.assert_allclose(mine.extent.world[:, -2:], extent)
    strokes.selected_label = 2
    strokes.brush_size = 5
    place = [0] * (strokes.ndim - 2) + [20, 30]
    strokes.paint(place, 2)
    where = (*(0,) * (len(shape) - 2), 20, 30)
    assert store[where] == 2
    assert (store[...] == 2).sum() < 60
    strokes.undo()
    assert not store[...].any()
    strokes.redo()
    assert store[where] == 2
    book.poll()
    assert scene.image.labels(book.project.folder)[where] == 2
    source = scene.image.source(book.project.folder, 2)
    assert source.label_shape == shape
    linked = (
        scene.image.kind == "zarr"
        and not (book.project.folder / "images" / f"{scene.image.key}.zarr").exists()
    )
    assert linked == (kind == "zarr")


def test_the_other_image_and_back_keeps_strokes(docks):
    one = docks.viewer.add_image(noise(64, 96), name="one")
    docks.start()
    docks.scene.strokes.paint((10, 10), 2)
    two = docks.viewer.add_image(noise(32, 32), name="two")
    docks.image_box.choose(two)
    docks.start()
    assert docks.scene.strokes.data.shape == (32, 32)
    docks.image_box.choose(one)
    docks.start()
    assert docks.scene.strokes.data.shape == (64, 96)
    assert docks.scene.strokes.data[10, 10] == 2
    assert len(docks.workbench.project.record.images) == 2


def test_deleted_layers_come_back_from_disk(docks):
    docks.viewer.add_image(noise(64, 96), name="one")
    docks.start()
    docks.scene.strokes.paint((10, 10), 2)
    docks.viewer.layers.remove(docks.scene.strokes)
    docks.start()
    assert docks.scene.strokes.data[10, 10] == 2


def test_strokes_of_another_layer_are_taken_over(docks):
    docks.viewer.add_image(noise(64, 96), name="one")
    docks.start()
    values = np.zeros((64, 96), np.int32)
    values[5:9, 5:9], values[20:25, 20:25] = 1, 7
    other = Labels(values, name="mine")
    docks.viewer.add_layer(other)
    docks._import_strokes()
    store = docks.workbench.labels(docks.scene.image.key)
    np.testing.assert_array_equal(store[...], values)
    assert [c.value for c in docks.class_list.classes] == [1, 2, 7]
    other.data = np.full((64, 96), 300)
    docks.viewer.layers.selection.active = other
    docks._import_strokes()
    assert "255" in docks.message.text()
    np.testing.assert_array_equal(store[...], values)
    docks.viewer.layers.remove(other)
    docks.viewer.add_labels(np.ones((5, 5), np.uint8))
    docks._import_strokes()
    assert "shape" in docks.message.text()


def test_axes_that_do_not_fit_are_said(docks):
    docks.viewer.add_image(noise(3, 64, 96), name="one")
    for names in ("", "YX", "ZZX", "ABC", "1YX"):
        docks.image_box.axes.setCurrentText(names)
        docks.start()
        assert docks.message.text()
        assert docks.scene.strokes is None


def test_classes_colours_and_keys(docks):
    docks.viewer.add_image(noise(64, 96), name="one")
    docks.start()
    docks.class_list._add()
    assert docks.scene.strokes.selected_label == 3
    colour = docks.class_list.classes[2].colour
    painted = docks.scene.strokes.colormap.color_dict[3]
    expected = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    np.testing.assert_allclose(painted[:3], expected, atol=0.01)
    docks._pick_number(0)
    assert docks.scene.strokes.mode == "erase"
    docks._pick_number(1)
    assert (docks.scene.strokes.mode, docks.class_list.current()) == ("paint", 1)
    docks._toggle_overlay()
    assert not docks.scene.prediction.visible
    docks._fade(2)
    assert docks.scene.prediction.opacity == pytest.approx(0.65)
    names = [c.name for c in docks.workbench.project.record.classes]
    assert names == ["background", "object", "class 3"]


def test_settings_reach_the_project(docks):
    docks.viewer.add_image(noise(64, 96), name="one")
    docks.start()
    docks.scene.strokes.paint((10, 10), 2)
    control = {c.name: c for c in docks.settings.network.container}
    control["width"].value = 24
    docks.toggle()
    assert docks.workbench.project.record.network.width == 24
    assert docks.workbench.status.state == "training"


SENSELESS = {
    "nan": np.full((9, 9), np.nan, np.float32),
    "infinite": np.full((9, 9), np.inf, np.float32),
    "constant": np.zeros((9, 9), np.uint8),
    "one pixel": np.zeros((1, 1), np.uint8),
    "one row": np.zeros((1, 50), np.uint8),
    "binary": np.eye(9, dtype=bool),
    "half": np.eye(9, dtype=np.float16),
    "huge numbers": np.full((9, 9), 2**60, np.int64),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_images_without_sense_can_be_painted_on(docks, name):
    pixels = SENSELESS[name]
    layer = docks.viewer.add_image(pixels, contrast_limits=(0, 1), name=name)
    docks.start()
    assert docks.message.text() == ""
    assert docks.scene.layer is layer
    docks.scene.strokes.data[...] = np.ones(pixels.shape, np.uint8)
    docks.workbench.flush()
    docks.toggle()
    assert docks.workbench.status.state == "training"


def test_too_many_axes_are_said(docks):
    docks.viewer.add_image(np.zeros((1,) * 5 + (8, 8), np.uint8), name="seven")
    docks.start()
    assert docks.message.text() == "seven has 7 axes; choose an image with 2 to 6."


def test_a_lazy_image_that_fails_is_said(docks):
    def fail(block):
        if block.shape == (8, 8):  # not when dask asks what it will look like
            raise RuntimeError("the cluster is gone\nand more lines")
        return block

    pixels = da.zeros((16, 16), chunks=8, dtype=np.uint8).map_blocks(
        fail, dtype=np.uint8, meta=np.zeros((0, 0), np.uint8)
    )
    layer = Image(np.zeros((16, 16), np.uint8), name="lazy")
    docks.viewer.add_layer(layer)
    layer._data = pixels  # which napari itself would refuse to draw
    docks.start()
    assert "the cluster is gone and more lines); save it" in docks.message.text()
    assert docks.scene.strokes is None
