"""The tiled prediction equals that of the whole image, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine import device as device_module
from napari_fcn.engine import predict as predict_module
from napari_fcn.engine.model import Model
from napari_fcn.engine.predict import predict_array, predict_source
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network
from napari_fcn.networks.photo_features import photo_classifier


def make_model(ndim: int = 2, channels: int = 1, **network: object) -> Model:
    torch.manual_seed(0)
    config = NetworkConfig(
        ndim=ndim, in_channels=channels, out_channels=3, width=3, **network
    )
    built = build_network(config)
    for module in built.modules():  # running statistics that are not the identity
        if hasattr(module, "running_mean"):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    if (classifier := photo_classifier(built)) is not None:
        weight, bias = classifier.head.parameters()
        classifier.set_weights(torch.randn_like(weight) / 10, bias)
    classes = classes_from_values([1, 2, 3])
    return Model(ModelConfig(network=config, classes=classes), built)


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    tile=st.integers(1, 80),
    depth=st.integers(0, 3),
    skips=st.booleans(),
    scales=st.integers(1, 2),
    photographs=st.booleans(),
    filters=st.booleans(),
    channels=st.integers(1, 2),
)
@settings(max_examples=50)
def test_tiles_equal_the_whole_in_2d(
    shape, tile, depth, skips, scales, photographs, filters, channels
):
    model = make_model(
        channels=channels,
        depth=depth,
        skips=skips,
        scales=scales,
        photo_features=photographs,
        filter_features=filters,
    )
    image = np.random.default_rng(1).random((channels, *shape), np.float32)
    asked = {"axes": "CYX", "output": "probabilities"}
    whole = predict_array(model, image, **asked, tile=1000)
    tiled = predict_array(model, image, **asked, tile=tile)
    assert np.abs(whole - tiled).max() < 1e-4


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 30)),
    tile=st.integers(3, 40),
    depth=st.integers(0, 2),
    flat=st.integers(0, 1),
    scales=st.integers(1, 2),
)
@settings(max_examples=20)
def test_tiles_equal_the_whole_in_3d(shape, tile, depth, flat, scales):
    model = make_model(3, depth=depth, flat_levels=flat, scales=scales)
    image = np.random.default_rng(1).random(shape, np.float32)
    whole = predict_array(model, image, output="probabilities", tile=1000)
    tiled = predict_array(model, image, output="probabilities", tile=tile)
    assert np.abs(whole - tiled).max() < 1e-4


def test_the_whole_is_the_network_on_the_whole_image():
    model = make_model(depth=2)
    image = np.random.default_rng(0).random((64, 48), np.float32)
    image = (image - np.percentile(image, 1)) / (
        np.percentile(image, 99.5) - np.percentile(image, 1)
    )
    with torch.inference_mode():
        direct = model.network(torch.tensor(image, dtype=torch.float32)[None, None])
    predicted = predict_array(model, image, output="probabilities", tile=16)
    assert np.abs(torch.softmax(direct[0], 0).numpy() - predicted).max() < 1e-4


@pytest.mark.parametrize("axes", ["TYXC", "CTYX", "YXC", "ZCYX"])
def test_axes_in_any_order(axes):
    model = make_model(channels=2, depth=1)
    sizes = {"T": 3, "Z": 3, "C": 2, "Y": 10, "X": 14}
    image = np.random.default_rng(0).random([sizes[a] for a in axes], np.float32)
    labels = predict_array(model, image, axes=axes)
    probabilities = predict_array(model, image, axes=axes, output="probabilities")
    rest = [sizes[a] for a in axes if a != "C"]
    assert labels.shape == tuple(rest)
    assert probabilities.shape == (3, *rest)
    values = np.array([0, 2, 3])
    assert np.array_equal(values[probabilities.argmax(0)], labels)


@pytest.mark.parametrize("output", ["labels", "probabilities"])
@pytest.mark.parametrize("axes", ["TZYX", "YXT"])
def test_dask_in_lazy_dask_out(axes, output):
    da = pytest.importorskip("dask.array")
    model = make_model(depth=1)
    image = np.random.default_rng(0).random((4, 5, 9, 8)[-len(axes) :], np.float32)
    lazy = predict_array(model, da.from_array(image), axes=axes, output=output)
    assert isinstance(lazy, da.Array)
    expected = predict_array(model, image, axes=axes, output=output)
    assert np.allclose(lazy.compute(), expected, atol=1e-6)


def test_memory_running_out_makes_tiles_smaller(monkeypatch):
    model = make_model(depth=1)
    image = np.random.default_rng(0).random((100, 90), np.float32)
    expected = predict_array(model, image, output="probabilities")
    run = predict_module.run_network

    def run_small_only(network, batch, compute):
        if batch.shape[-1] > 60:
            raise torch.OutOfMemoryError("out of memory")
        return run(network, batch, compute)

    monkeypatch.setattr(predict_module, "run_network", run_small_only)
    messages = []
    source = ImageSource(image, Axes.of("YX"), 2)
    out = np.zeros((3, 100, 90), np.float32)
    predict_source(
        model,
        source,
        out,
        output="probabilities",
        on_progress=lambda p: messages.append(p.message),
    )
    assert np.abs(out - expected).max() < 1e-4
    assert any("Memory ran out" in m for m in messages)


def test_memory_that_never_suffices_is_one_sentence(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(predict_module, "run_network", fail)
    with pytest.raises(UserError, match="not enough memory"):
        predict_array(make_model(depth=1), np.zeros((40, 40), np.float32))


def test_other_errors_are_not_taken_for_memory():
    assert not device_module.is_out_of_memory(RuntimeError("shape mismatch"))
    assert device_module.is_out_of_memory(RuntimeError("CUDA out of memory"))


def test_wrong_channels_are_one_sentence():
    with pytest.raises(UserError, match="1 channel"):
        predict_array(make_model(channels=3), np.zeros((20, 20), np.float32))
