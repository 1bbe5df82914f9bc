"""Image to image in a real viewer: targets, trusted areas, units of predictions."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter

from napari_fcn.data.readers import open_image
from napari_fcn.engine.image_scores import compare_images
from napari_fcn.project.targets import read_targets

SIZE = 128


@pytest.fixture
def pair():
    """A blurred image, and two that shall be made of it."""
    random = np.random.default_rng(0)
    clean = gaussian_filter((random.random((SIZE, SIZE)) > 0.99).astype(float), 3) * 50
    blurred = gaussian_filter(clean, 2) + random.normal(0, 0.02, clean.shape)
    return [x.astype(np.float32) for x in (blurred, 300 + 900 * clean, 50 - 20 * clean)]


def start(window, images, names=("blurred", "sharp", "negative")):
    for image, name in zip(images[::-1], names[::-1], strict=True):
        window.viewer.add_image(image, name=name, scale=(0.5, 0.5))
    dock = window.train
    dock.task_choice.chosen.emit("regression")
    dock.image_box.choice.setCurrentText(names[0])
    QTest.qWait(100)
    QTest.mouseClick(dock.image_box.start_button, Qt.MouseButton.LeftButton)
    window.make_quick()
    QTest.qWait(100)


def test_two_targets_at_once_in_their_units(window, pair, tmp_path):
    book, scene, dock = window.workbench, window.host.scene, window.train
    start(window, pair)
    panel = dock.regress_panel
    assert panel.isVisibleTo(dock)
    assert not dock.class_list.isVisibleTo(dock)
    assert not dock.count_panel.isVisibleTo(dock)
    for name in ("sharp", "negative"):
        panel.choice.setCurrentText(name)
        QTest.mouseClick(panel.add_button, Qt.MouseButton.LeftButton)
    scene.targets.areas.add_rectangles(np.array([[0, 0], [127, 100]]))
    assert dock.image_box.start_button.text() == "✓ Ready"
    kept = read_targets(book.project.folder, scene.image.key)
    assert kept.outputs == ("sharp", "negative")
    assert len(kept.trusted) == 1
    QTest.mouseClick(dock.train_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.step >= 80, "steps")
    window.until(lambda: "sharp r 0." in panel.agreement.text(), "the agreement")
    assert "PSNR" in panel.agreement.text()
    assert "SSIM" in panel.agreement.text()
    QTest.mouseClick(dock.stop_button, Qt.MouseButton.LeftButton)
    window.until(lambda: book.status.state == "ready", "the end of training")
    live = scene.targets.predictions[0]
    assert live.name == "blurred – predicted sharp"
    window.until(lambda: live.contrast_limits[0] > 100, "colours in the target's units")
    shown = np.percentile(np.asarray(live.data[...]), (0.5, 99.8))
    window.until(
        lambda: np.abs(shown - live.contrast_limits).max() < 0.1 * np.ptp(shown),
        "colours of the picture as it is",
    )
    live.contrast_limits = (0, 999)
    scene.targets.refresh()  # as after each picture; what was chosen by hand stays
    assert list(live.contrast_limits) == [0, 999]

    QTest.mouseClick(window.apply.apply_button, Qt.MouseButton.LeftButton)
    window.until(lambda: scene.wholes and not book.status.job, "the whole image")
    assert len(scene.wholes) == 2
    window.apply.save_to(tmp_path / "made.tif")
    window.until((tmp_path / "made.tif").exists, "the file")
    opened = open_image(tmp_path / "made.tif")
    assert opened.axes.names == "CYX"
    for made, truth in zip(np.asarray(opened.data), pair[1:], strict=True):
        assert compare_images(truth, made).pearson > 0.8
        assert np.abs(made - truth).mean() < 0.5 * np.abs(truth - truth.mean()).mean()


def test_only_the_selected_target_is_removed(window, pair):
    book, scene = window.workbench, window.host.scene
    panel = window.train.regress_panel
    start(window, pair)
    assert not panel.remove_button.isEnabled()
    for name in ("sharp", "negative"):
        panel.choice.setCurrentText(name)
        panel.add_target()
    lines = [panel.list.item(n).text() for n in range(panel.list.count())]
    assert lines == ["→ sharp", "→ negative"]
    assert not panel.remove_button.isEnabled()
    assert "Select a target" in panel.remove_button.toolTip()
    panel.list.item(0).setSelected(True)
    QTest.mouseClick(panel.remove_button, Qt.MouseButton.LeftButton)
    folder, key = book.project.folder, scene.image.key
    assert read_targets(folder, key).outputs == ("negative",)
    assert [x.name for x in scene.overlays] == ["blurred – predicted negative"]
    assert panel.list.count() == 1
    panel.choice.setCurrentText("sharp")
    panel.add_target()
    window.until(lambda: not book.status.job, "the copy")
    kept = read_targets(folder, key)
    assert kept.outputs == ("negative", "sharp")
    for target, truth in zip(kept.targets, (pair[2], pair[1]), strict=True):
        source = target.source(folder, 2)
        np.testing.assert_allclose(source.read((), source.whole())[0], truth)
    panel.list.selectAll()
    panel.remove_targets()
    assert read_targets(folder, key).targets == ()
    assert not scene.overlays
    assert panel.list.item(0).text() == "no target yet"
    panel.list.selectAll()
    assert not panel.remove_button.isEnabled()


def test_a_wrong_target_is_refused_and_noise_removed_without_one(window, pair):
    book, scene, dock = window.workbench, window.host.scene, window.train
    start(window, [pair[0], pair[1][:50]], ("noisy", "small"))
    panel = dock.regress_panel
    panel.choice.setCurrentText("small")
    panel.add_target()
    assert "choose the target of this image" in dock.message.text()
    assert read_targets(book.project.folder, scene.image.key).targets == ()
    dock.toggle()
    assert "no target yet" in dock.message.text()
    panel.way.setCurrentIndex(panel.way.findData("noise2void"))
    panel.choose_way()
    assert not panel.target_box.isVisibleTo(panel)
    dock.toggle()
    window.until(lambda: book.status.step >= 20, "steps")
    window.until(lambda: any(np.asarray(scene.overlays[0].data).ravel()), "a picture")
    dock.toggle()
    window.until(lambda: book.status.state == "paused", "the pause")
    assert scene.overlays[0].name == "noisy – without noise"


def test_how_far_a_prediction_may_be_off_is_a_hidden_layer(window, pair):
    """The noise of the target is small on the left and large on the right."""
    book, scene, dock = window.workbench, window.host.scene, window.train
    noise = np.random.default_rng(0).normal(0, 1, pair[0].shape)
    spread = np.where(np.arange(SIZE) < SIZE // 2, 20, 200)
    image = pair[0] + (spread > 100)
    target = (300 + 100 * pair[0] + spread * noise).astype(np.float32)
    start(window, [image.astype(np.float32), target], ("blurred", "sharp"))
    panel = dock.regress_panel
    panel.choice.setCurrentText("sharp")
    panel.add_target()
    assert not scene.deviations
    panel.way.setCurrentIndex(panel.way.findData("heteroscedastic"))
    panel.choose_way()
    assert "by how much the prediction may be off" in panel.help.text()
    (layer,) = scene.deviations
    assert layer.name == "blurred – deviation of sharp"
    assert not layer.visible
    layers = window.viewer.layers
    assert layers.index(layer) > layers.index(scene.targets.predictions[0])
    panel.list_layers()
    assert panel.choice.findText(layer.name) < 0
    dock.toggle()
    window.until(lambda: book.status.step >= 120, "steps")
    dock.toggle()
    window.until(lambda: book.status.state == "paused", "the pause")
    QTest.qWait(500)
    layer.visible = True
    window.until(lambda: layer.contrast_limits[1] > 50, "colours in its units")
    assert layer.contrast_limits[0] == 0
    found = np.asarray(layer.data[...])
    assert np.median(found[:, 70:]) > 1.5 * np.median(found[:, :58]) > 20
    window.viewer.layers.remove(layer)
    assert not scene.deviations
    # deleted by hand and shown again, it finds its colours anew; so does a prediction
    window.viewer.layers.remove(scene.targets.predictions[0])
    panel.choose_way()
    (layer,) = scene.deviations
    layer.visible = True
    window.until(lambda: layer.contrast_limits[1] > 50, "colours in its units again")
    again = scene.targets.predictions[0]
    scene.targets.refresh()
    window.until(lambda: again.contrast_limits[1] > 50, "colours of the prediction")
    panel.way.setCurrentIndex(panel.way.findData("l2"))
    panel.choose_way()
    assert not scene.deviations
