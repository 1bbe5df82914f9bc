from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_fcn import config
from napari_fcn.config import (
    BACKGROUND,
    AugmentationConfig,
    ClassInfo,
    CountError,
    DensityConfig,
    Frozen,
    ModelConfig,
    NetworkConfig,
    NormalisationConfig,
    OutputInfo,
    RegressionConfig,
    TrainingConfig,
    classes_from_values,
    default_colour,
    usual_network,
)

EXAMPLES = [
    ClassInfo(value=3, name="nucleus µ", colour="#00aAfF", background=True),
    NetworkConfig(name="unet", ndim=3, in_channels=2, out_channels=4, flat_levels=2),
    NormalisationConfig(lower=0, upper=100),
    AugmentationConfig(flip=False, scale=0, elastic=20),
    TrainingConfig(crop=64, batch=3, seed=2**63 - 1, device="cpu"),
    ModelConfig(
        classes=classes_from_values([1, 2]),
        training={"steps": 3, "held_out_dice": None, "seconds": 1.5},
    ),
    ModelConfig(
        task="density",
        network=NetworkConfig(out_channels=1),
        classes=classes_from_values([1])[:1],
        density=DensityConfig(widths=((2.0, 2.0),), gains=(1.25,)),
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_json_and_back(example):
    text = example.model_dump_json()
    assert type(example).model_validate_json(text) == example
    assert type(example).model_validate(json.loads(text)) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_frozen_and_strict(example):
    name = next(iter(type(example).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(example, name, getattr(example, name))
    with pytest.raises(ValidationError, match="unknown"):
        type(example).model_validate({**example.model_dump(), "unknown": 1})


def test_every_public_name_is_there():
    for name in config.__all__:
        assert getattr(config, name) is not None
    models = [m for m in vars(config).values() if isinstance(m, type)]
    assert all(issubclass(m, Frozen) for m in models)


def test_defaults_are_valid():
    for model in (NetworkConfig, NormalisationConfig, TrainingConfig):
        assert model.model_validate(model().model_dump()) == model()


def refused(model, **fields):
    with pytest.raises(ValidationError):
        model(**fields)
    return True


def real_fields():
    for model in (NormalisationConfig, AugmentationConfig, TrainingConfig):
        for name, field in model.model_fields.items():
            if field.annotation is float:
                yield model, name


@pytest.mark.parametrize(("model", "name"), list(real_fields()))
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.1, 1e9])
def test_numbers_out_of_range_are_refused(model, name, number):
    if name == "score_every" and number == 1e9:
        number = 0.0
    assert refused(model, **{name: number})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (ClassInfo, {"value": -1, "name": "x"}),
        (ClassInfo, {"value": 2**63, "name": "x"}),
        (ClassInfo, {"value": 1.5, "name": "x"}),
        (ClassInfo, {"value": 1}),
        (ClassInfo, {"value": 1, "name": "x", "colour": "red"}),
        (ClassInfo, {"value": 1, "name": "x", "colour": "#12345"}),
        (NetworkConfig, {"ndim": 4}),
        (NetworkConfig, {"in_channels": 0}),
        (NetworkConfig, {"out_channels": 5000}),
        (NetworkConfig, {"depth": -1}),
        (NetworkConfig, {"depth": 9}),
        (NetworkConfig, {"ndim": 2, "flat_levels": 1}),
        (NetworkConfig, {"up": "indices", "down": "stride"}),
        (NormalisationConfig, {"lower": 50, "upper": 50}),
        (NormalisationConfig, {"lower": 60, "upper": 40}),
        (TrainingConfig, {"crop": 7}),
        (TrainingConfig, {"batch": 0}),
        (TrainingConfig, {"held_out": 0.51}),
        (TrainingConfig, {"learning_rate": 0}),
        (TrainingConfig, {"precision": "float8"}),
        (TrainingConfig, {"device": "tpu"}),
        (TrainingConfig, {"seed": -1}),
        (TrainingConfig, {"seed": 2**63}),
        (ModelConfig, {"format": 2, "classes": classes_from_values([1, 2])}),
        (ModelConfig, {"task": "magic", "classes": classes_from_values([1, 2])}),
    ],
)
def test_what_makes_no_sense_is_refused(model, fields):
    assert refused(model, **fields)


# Classes ------------------------------------------------------------------------------


def test_the_background_is_predicted_as_zero():
    background, cell = classes_from_values([1, 5])
    assert (background.value, background.output) == (BACKGROUND, 0)
    assert (cell.value, cell.output) == (5, 5)
    assert (background.background, cell.background) == (True, False)
    assert (background.name, cell.name) == ("background", "class 5")


@given(st.lists(st.integers(0, 300)), st.none() | st.integers(0, 300))
def test_classes_from_values(values, background):
    classes = classes_from_values(values, background=background)
    assert [c.value for c in classes] == sorted(set(values))
    assert [c.value for c in classes if c.background] == (
        [background] if background in values else []
    )
    assert all(c.colour == default_colour(c.value) for c in classes)


def test_classes_from_numpy_numbers():
    classes = classes_from_values(np.array([3, 1, 3], np.uint8))
    assert [c.value for c in classes] == [1, 3]
    assert all(type(c.value) is int for c in classes)


def test_neighbouring_classes_differ_in_colour():
    colours = [default_colour(value) for value in range(1, 11)]
    assert len(set(colours)) == 10
    for value in (0, 11, 10**9):
        assert ClassInfo(value=value, name="x", colour=default_colour(value))


# Models -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_segmentation_has_a_channel_per_class(number):
    classes = classes_from_values(range(1, number + 1))
    with pytest.raises(ValidationError, match=f"{number} classes do not fit 2 output"):
        ModelConfig(classes=classes)
    outputs = RegressionConfig(outputs=(OutputInfo(name="a"), OutputInfo(name="b")))
    ModelConfig(task="regression", classes=classes, regression=outputs)


@pytest.mark.parametrize(
    "classes",
    [
        [ClassInfo(value=2, name="a"), ClassInfo(value=2, name="b")],
        # Two of them would be predicted as 0.
        [ClassInfo(value=v, name="x", background=True) for v in (1, 2)],
        [
            ClassInfo(value=0, name="a"),
            ClassInfo(value=1, name="b", background=True),
        ],
        [
            ClassInfo(value=2, name="a"),
            ClassInfo(value=2, name="b", background=True),
        ],
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    with pytest.raises(ValidationError, match="same number"):
        ModelConfig(classes=tuple(classes))


def test_an_older_file_takes_defaults_for_what_it_lacks():
    classes = classes_from_values([1, 2])
    old = {"classes": [{"value": 1, "name": "background", "background": True}]}
    old["classes"].append({"value": 2, "name": "class 2"})
    read = ModelConfig.model_validate_json(json.dumps(old))
    # as all networks were
    plain = {"scales": 1, "photo_features": False, "filter_features": False}
    assert read.network == NetworkConfig.model_validate(plain)
    assert [c.value for c in read.classes] == [c.value for c in classes]
    assert read.format == 1


@pytest.mark.parametrize(
    ("regions", "quantile"),
    [(0, 1.960), (1, 4.303), (2, 4.303), (5, 2.571), (1000, 1.962)],
)
def test_limits_are_wider_where_little_was_held_out(regions, quantile):
    error = CountError(scatter=0.25, bias=0.1, regions=regions)
    deviation = (0.25 * 100 + 10**2) ** 0.5
    assert error.deviation(100) == pytest.approx(deviation)
    assert error.reach(100) == pytest.approx(quantile * deviation, rel=1e-3)


@pytest.mark.parametrize(
    ("network", "task", "shipped", "scales", "photographs"),
    [
        ({}, "segmentation", True, 2, True),
        ({"in_channels": 4, "coordinates": True}, "segmentation", True, 2, True),
        ({"ndim": 3, "flat_levels": 1}, "segmentation", True, 2, False),
        ({"scales": 1}, "segmentation", True, 1, True),
        ({"photo_features": False}, "segmentation", True, 2, False),
        ({"photo_features": True}, "segmentation", False, 1, True),
        ({"scales": 3}, "density", False, 3, False),
        ({}, "segmentation", False, 1, False),
        ({}, "density", True, 1, False),
        ({}, "regression", True, 1, False),
        ({"width": 8}, "segmentation", True, 1, False),
        ({"depth": 4}, "segmentation", True, 1, False),
        ({"name": "segnet"}, "segmentation", True, 1, False),
        ({"name": "unet-residual"}, "segmentation", True, 1, False),
    ],
)
def test_how_an_image_is_seen_with_the_shipped_weights_and_else(
    network, task, shipped, scales, photographs
):
    config = NetworkConfig.model_validate(network)
    found = usual_network(config, task, TrainingConfig(shipped=shipped))
    seen = {"scales": scales, "photo_features": photographs}
    seen["filter_features"] = photographs
    assert found == config.model_copy(update=seen)


@pytest.mark.parametrize("wanted", [True, False])
def test_filters_can_be_chosen_but_not_without_photographs(wanted):
    network = NetworkConfig(filter_features=wanted)
    found = usual_network(network, "segmentation", TrainingConfig())
    assert found.filter_features is wanted
    alone = network.model_copy(update={"photo_features": False})
    found = usual_network(alone, "segmentation", TrainingConfig())
    assert found.filter_features is False


def test_photographs_have_a_say_only_where_classes_are_told_apart():
    network = NetworkConfig(photo_features=True)
    classes = classes_from_values([1, 2])
    segmented = ModelConfig(network=network, classes=classes)
    assert segmented.network.photo_features
    counted = ModelConfig(
        task="density",
        network=network.model_copy(update={"out_channels": 1}),
        classes=classes[:1],
        density=DensityConfig(widths=((2.0, 2.0),), gains=(1.25,)),
    )
    assert counted.network.photo_features is False
    assert counted.network.filter_features is False


def test_a_model_says_that_it_has_filters_only_where_it_has_them():
    network = NetworkConfig(filter_features=True)
    config = ModelConfig(network=network, classes=classes_from_values([1, 2]))
    assert config.network.photo_features is False
    assert config.network.filter_features is False
