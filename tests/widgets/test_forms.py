"""Forms: every setting can be shown, changed and read back."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_fcn.config import (
    AugmentationConfig,
    NetworkConfig,
    TrainingConfig,
    usual_augmentation,
)
from napari_fcn.errors import UserError
from napari_fcn.widgets.settings import Settings

REUSE = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def form(qtbot):
    widget = Settings()
    qtbot.addWidget(widget)
    return widget


def between(low, high):
    return st.floats(low, high, allow_subnormal=False)


AUGMENTATIONS = st.builds(
    AugmentationConfig,
    flip=st.booleans(),
    rotate=st.booleans(),
    scale=between(0, 1),
    elastic=between(0, 20),
    brightness=between(0, 2),
    contrast=between(0, 2),
    each_channel=st.booleans(),
    noise=between(0, 2),
    blur=between(0, 5),
)
TRAININGS = st.builds(
    TrainingConfig,
    loss=st.sampled_from(["ce", "ce+dice", "one of a later version"]),
    crop=st.none() | st.integers(8, 4096),
    batch=st.none() | st.integers(1, 1024),
    learning_rate=between(1e-6, 1),
    weight_decay=between(0, 1),
    held_out=between(0, 0.5),
    precision=st.sampled_from(["auto", "float32", "bfloat16", "float16"]),
    device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
    seed=st.integers(0, 2**63 - 1),
    augmentation=st.none() | AUGMENTATIONS.filter(AugmentationConfig().__ne__),
)
NETWORKS = st.builds(
    NetworkConfig,
    ndim=st.just(3),
    width=st.integers(1, 1024),
    depth=st.integers(0, 8),
    flat_levels=st.integers(0, 8),
) | st.builds(NetworkConfig, width=st.integers(1, 1024), depth=st.integers(0, 8))


@REUSE
@given(NETWORKS, TRAININGS)
def test_what_is_loaded_is_read_back(form, network, training):
    form.load(network, training)
    assert form.value() == (network, training)


def test_a_task_shows_how_its_crops_are_varied_unless_that_was_chosen(form):
    form.show_task("density")
    assert form.augmentation.value() == usual_augmentation("density")
    assert form.value()[1].augmentation is None
    controls(form)["noise"].value = 0.2
    chosen = usual_augmentation("density").model_copy(update={"noise": 0.2})
    form.show_task("segmentation")
    assert form.value()[1].augmentation == chosen
    form.load(NetworkConfig(), TrainingConfig())
    assert form.augmentation.value() == usual_augmentation("segmentation")


GEOMETRY = {"flip", "rotate"}
INTENSITY = {"brightness", "contrast", "each_channel", "noise", "blur"}
OTHERS = {"scale", "elastic"}


@pytest.mark.parametrize(
    ("task", "used"),
    [
        ("density", GEOMETRY | OTHERS | INTENSITY | {"overlay"}),
        ("segmentation", GEOMETRY | OTHERS | INTENSITY),
        ("regression", GEOMETRY),
    ],
)
def test_only_what_varies_crops_of_the_task_is_shown(form, task, used):
    form.show_task("density" if task == "regression" else "regression")
    form.show_task(task)
    shown = {
        control.name
        for control in form.augmentation.container
        if control.native.isVisibleTo(form)
    }
    assert shown == used


@pytest.mark.parametrize(
    ("task", "what"),
    [("segmentation", "Strokes"), ("density", "Dotted areas"),
     ("regression", "Trusted areas")],
)  # fmt: skip
def test_what_is_kept_for_scoring_is_called_by_its_name(form, task, what):
    form.show_task("segmentation")
    form.show_task(task)
    words = {label.text() for label in form.findChildren(QLabel)}
    assert f"{what} kept for scoring" in words
    assert sum("kept for scoring" in w for w in words) == 1


def controls(form):
    return {
        control.name: control
        for part in (form.network, form.training, form.augmentation)
        for control in part.container
    }


CHANGES = {
    "ndim": 3,
    "width": 24,
    "depth": 4,
    "loss": "dice",
    "learning_rate": 0.0005,
    "crop": 96,
    "batch": 12,
    "held_out": 0.25,
    "device": "cpu",
    "precision": "float32",
    "seed": 7,
    "flip": False,
    "rotate": False,
    "scale": 0.5,
    "elastic": 0.0,
    "brightness": 0.05,
    "contrast": 1.5,
    "each_channel": False,
    "noise": 0.02,
    "blur": 0.25,
    "overlay": 0.3,
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_control_changes_its_setting_alone(form, name):
    before = form.value()
    controls(form)[name].value = CHANGES[name]
    network, training = form.value()
    changed = {}
    for new, old in (
        (network, before[0]),
        (training, before[1]),
        (training.augmentation or AugmentationConfig(), AugmentationConfig()),
    ):
        for field in type(new).model_fields:
            if field != "augmentation" and getattr(new, field) != getattr(old, field):
                changed[field] = getattr(new, field)
    assert changed == {name: CHANGES[name]}


def test_every_control_is_tested_and_explained(form):
    assert set(CHANGES) == set(controls(form)) - {"flat_levels"}
    assert all(control.tooltip for control in controls(form).values())


def test_what_is_chosen_automatically_reads_auto(form, qtbot):
    for name in ("crop", "batch"):
        assert controls(form)[name].native.text() == "auto"
    form.load(NetworkConfig(), TrainingConfig(crop=64, batch=1))
    assert controls(form)["crop"].native.text() == "64"
    assert controls(form)["batch"].native.text() == "1"
    for name in ("crop", "batch"):
        spin = controls(form)[name].native
        qtbot.keyClick(spin, Qt.Key.Key_Down)
        while spin.text() != "auto":
            qtbot.keyClick(spin, Qt.Key.Key_Down)
    training = form.value()[1]
    assert (training.crop, training.batch) == (None, None)


def test_a_step_up_from_auto_is_the_least_number(form, qtbot):
    qtbot.keyClick(controls(form)["crop"].native, Qt.Key.Key_Up)
    assert form.value()[1].crop == 8


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("learning_rate", 0, "Learning rate"),
        ("flat_levels", 1, "3D networks only"),
    ],
)
def test_settings_that_do_not_go_together_are_said(form, name, value, word):
    controls(form)[name].value = value
    with pytest.raises(UserError, match=word) as caught:
        form.value()
    assert str(caught.value).count(". ") == 0
    form.load(NetworkConfig(), TrainingConfig())
    assert form.value() == (NetworkConfig(), TrainingConfig())


def test_what_fits_again_is_taken(form):
    form.load(NetworkConfig(ndim=3, flat_levels=2), TrainingConfig())
    controls(form)["ndim"].value = 2
    with pytest.raises(UserError):
        form.value()
    controls(form)["flat_levels"].value = 0
    assert form.value()[0] == NetworkConfig()
