"""The Network dock in a real viewer, with a real engine."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError
from napari_fcn.widgets.field_view import BOX, HEAT
from napari_fcn.widgets.frame_view import EFFECT
from napari_fcn.widgets.mask_channel import add_mask_channel
from napari_fcn.widgets.network_dock import NetworkDock
from napari_fcn.widgets.reading import axes_of, pixels_of

SCALE = (2.0, 0.5, 0.5)


@pytest.fixture
def dock(window):
    result = NetworkDock(window.viewer, window.host)
    window.viewer.window.add_dock_widget(result, name="Network", tabify=True)
    return result


def start(window, path):
    window.train.image_box.open_path(path)
    QTest.qWait(100)
    window.train.start()
    window.make_quick()
    window.workbench.set_settings(
        window.workbench.project.record.network,
        window.workbench.project.record.training,
    )
    QTest.qWait(100)


def choose(combo, name):
    combo.setCurrentIndex(combo.findData(name))


def paint(window):
    QTest.keyClick(window.canvas, Qt.Key.Key_2)
    window.drag((32, 24), (32, 40))
    QTest.keyClick(window.canvas, Qt.Key.Key_1)
    window.drag((64, 10), (64, 110))


def choose_another_network(window, dock):
    choose(dock.choice.network, "unet-nearest")
    assert "repeating pixels" in dock.choice.about_network.text()
    dock.choice.form.container["depth"].value = 2
    dock.choice.form.container["width"].value = 8
    choose(dock.choice.loss, "ce+dice")
    window.until(lambda: "53 × 53" in dock.facts.text(), "the new facts")
    QTest.mouseClick(dock.use_button, Qt.MouseButton.LeftButton)
    record = window.workbench.project.record
    assert record.network == NetworkConfig(name="unet-nearest", width=8, depth=2)
    assert record.training.loss == "ce+dice"
    assert record.training.crop == 48  # the rest stays
    assert window.train.settings.value() == (record.network, record.training)
    assert dock.use_button.text() == "✓ In use"


def see_the_box(window, dock) -> tuple[int, ...]:
    """It follows the cursor and leaves the brush in the hand."""
    viewer = window.viewer
    active = viewer.layers.selection.active
    dock.box_check.setChecked(True)
    assert viewer.layers.selection.active is active
    size = dock._described.size
    for y, x in ((64, 64), (40, 50)):
        QTest.mouseMove(window.canvas, window.at(y, x))
        QTest.qWait(100)
        box = np.asarray(viewer.layers[BOX].data[0])
        assert np.ptp(box[:, 1]) == size[0]
        assert np.abs(box.mean(0)[1:] - (y, x)).max() <= 2
    assert tuple(viewer.layers[BOX].scale) == pytest.approx(SCALE)
    return size


def see_the_heat_map(window, dock, size):
    """It lies inside the box; before training it is random."""
    dock.heat_check.setChecked(True)
    window.until(lambda: HEAT in window.viewer.layers, "the heat map")
    assert "untrained" in dock.field_label.text()
    low, high = (np.array(v) for v in window.viewer.layers[HEAT].extent.world)
    assert (high - low)[1:].max() <= (max(size) + 8) * SCALE[1]


def train_a_little(window):
    paint(window)
    window.train.toggle()
    window.until(lambda: window.workbench.status.step >= 5, "steps")
    window.train.stop_button.click()
    window.until(lambda: window.workbench.status.state == "ready", "the end")


def try_frames(window, dock):
    dock.shift.setValue(4)
    dock.try_frame()
    assert not dock.frame_button.isEnabled()
    window.until(lambda: EFFECT in window.viewer.layers, "the effect")
    assert "multiple of the stride 4" in dock.frame_label.text()
    assert dock.frame_button.isEnabled()
    choose(dock.frame_kind, "border")
    dock.try_frame()
    window.until(lambda: "new border" in dock.frame_label.text(), "the border")


def test_choose_see_and_try(window, dock, stack_file):
    start(window, stack_file[0])
    window.until(lambda: "sees" in dock.facts.text(), "the facts")
    assert not dock.use_button.isEnabled()
    choose_another_network(window, dock)
    assert "µm" in dock.facts.text()
    size = see_the_box(window, dock)
    see_the_heat_map(window, dock, size)
    dock.try_frame()
    window.until(lambda: "Train" in dock.frame_label.text(), "the word")
    assert EFFECT not in window.viewer.layers
    train_a_little(window)
    try_frames(window, dock)
    dock.box_check.setChecked(False)
    dock.heat_check.setChecked(False)
    assert not {BOX, HEAT} & {layer.name for layer in window.viewer.layers}


def test_advice_and_what_is_chosen_before_there_is_an_image(window, dock, stack_file):
    book = window.workbench
    choose(dock.choice.network, "cnn")
    dock.choice.form.container["layers"].value = 2
    dock.use()
    assert "once you start labelling" in dock.message.text()
    window.train.image_box.open_path(stack_file[0])
    QTest.qWait(100)
    window.train.start()
    assert book.project.record.network == NetworkConfig(name="cnn", layers=2)
    QTest.keyClick(window.canvas, Qt.Key.Key_2)
    window.drag((64, 40), (64, 60))
    book.flush()
    dock._ask()
    window.until(lambda: bool(dock.advice.text()), "the advice")
    assert "choose layers" in dock.advice.text()
    assert dock.advice_button.isVisibleTo(dock)
    dock.take_advice()
    window.until(lambda: not dock.advice.text(), "no more advice")
    assert dock.choice.value()[0].layers > 2
    # settings that cannot be built are said, and nothing is lost
    choose(dock.choice.network, "fcn-8s")
    dock.choice.form.container["depth"].value = 1
    window.until(lambda: "needs a depth" in dock.facts.text(), "the word")


def test_losses_are_those_of_the_task(window, dock):
    choice = dock.choice
    assert choice.loss.isVisibleTo(dock)
    for task, words in (
        ("regression", "chosen in Label & Train"),
        ("density", "number of objects in blocks"),
    ):
        window.workbench.set_task(task)
        assert not choice.loss.isVisibleTo(dock)
        choose(choice.network, "unet-2015")
        choice.load(NetworkConfig(), TrainingConfig(loss="dice"))
        assert words in choice.about_loss.text()
        assert choice.value()[1]["loss"] == "dice"
    window.workbench.set_task("segmentation")
    assert choice.loss.isVisibleTo(dock)
    assert "overlap" in choice.about_loss.text()


@pytest.mark.parametrize(
    ("shape", "names", "options"),
    [
        ((20, 30), "YX", {"scale": (0.5, 0.25)}),
        ((3, 20, 30), "ZYX", {}),
        ((20, 30, 3), "YX", {"rgb": True, "translate": (1, 2)}),
        ((2, 20, 30), "CYX", {}),
    ],
)
def test_a_mask_becomes_a_channel(shape, names, options):
    viewer = ViewerModel()
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    layer = viewer.add_image(image, **options)
    plane = [n for n, letter in zip(shape, names, strict=False) if letter != "C"]
    mask = viewer.add_labels(np.random.default_rng(1).integers(0, 3, plane))
    both = add_mask_channel(viewer, layer, names, mask)
    assert both in viewer.layers
    labels = "".join(both.axis_labels).upper()
    before = ImageSource(pixels_of(layer), axes_of(layer, names), 2)
    after = ImageSource(pixels_of(both), axes_of(both, labels), 2)
    assert after.n_channels == before.n_channels + 1
    assert after.label_shape == before.label_shape
    sample = (0,) * len(after.sample_shape)
    pixels = after.read(sample, after.whole())
    np.testing.assert_array_equal(pixels[:-1], before.read(sample, before.whole()))
    np.testing.assert_array_equal(
        pixels[-1], after.read_labels(mask.data, sample, after.whole()) > 0
    )
    spatial = [labels.index("Y"), labels.index("X")]
    assert tuple(np.array(both.scale)[spatial]) == tuple(layer.scale[-2:])
    assert tuple(np.array(both.translate)[spatial]) == tuple(layer.translate[-2:])


def test_a_mask_that_does_not_fit_is_one_sentence():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((20, 30)))
    mask = viewer.add_labels(np.zeros((5, 5), int))
    with pytest.raises(UserError, match="belong together"):
        add_mask_channel(viewer, layer, "YX", mask)
    with pytest.raises(UserError, match="first"):
        add_mask_channel(viewer, None, "", mask)
    assert len(viewer.layers) == 2


def test_a_closed_dock_leaves_the_viewer_alone(window, dock, stack_file):
    """Callbacks of what was closed do nothing any more."""
    start(window, stack_file[0])
    dock.box_check.setChecked(True)
    window.viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QTest.qWait(50)
    QTest.mouseMove(window.canvas, window.at(40, 50))
    window.workbench.answered.emit(object())
    QTest.keyClick(window.canvas, Qt.Key.Key_2)
    window.drag((32, 24), (32, 40))
    assert (window.host.scene.strokes.data[1] == 2).any()


def test_weights_of_an_encoder_from_a_file(window, dock, stack_file, tmp_path):
    """The file is kept in the project, and what is wrong with it is said on Train."""
    start(window, stack_file[0])
    row = dock.choice.encoder_file
    assert not row.isVisibleTo(dock)
    dock.choice.show_network(NetworkConfig(name="unet-pretrained", width=4))
    assert row.isVisibleTo(dock)
    (tmp_path / "other.pth").write_bytes(b"hello")
    row.choose(str(tmp_path / "other.pth"))
    assert row.button.text() == "Weights: other.pth"
    QTest.mouseClick(dock.use_button, Qt.MouseButton.LeftButton)
    record = window.workbench.project.record
    assert record.training.encoder_weights == str(tmp_path / "other.pth")
    assert dock.use_button.text() == "✓ In use"
    paint(window)
    window.train.toggle()
    here = importlib.util.find_spec("timm") is not None
    wanted = "other.pth holds no weights" if here else "need the package timm"
    window.until(lambda: wanted in window.train.message.text(), "what is wrong")

    QTest.mouseClick(row.forget, Qt.MouseButton.LeftButton)
    assert row.button.text() == "Weights: downloaded…"
    assert dock.use_button.isEnabled()
    row.choose(str(tmp_path / "other.pth"))
    choose(dock.choice.network, "unet")
    assert dock.choice.value()[1]["encoder_weights"] == ""
