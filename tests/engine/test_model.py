from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.engine.device import in_fast_layout
from napari_fcn.engine.model import Model, load_model
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network


@pytest.fixture
def model() -> Model:
    network = NetworkConfig(width=2, depth=1)
    config = ModelConfig(network=network, classes=classes_from_values([1, 2]))
    return Model(config, in_fast_layout(build_network(network), 2))


def test_round_trip(model, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    again = load_model(path)
    image = np.random.default_rng(0).random((20, 20), np.float32)
    assert again.config == model.config
    assert np.array_equal(
        model.predict(image, output="probabilities"),
        again.predict(image, output="probabilities"),
    )
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_is_read_has_the_layout_in_which_convolutions_are_fast(ndim, tmp_path):
    network = NetworkConfig(ndim=ndim, width=2, depth=1)
    config = ModelConfig(network=network, classes=classes_from_values([1, 2]))
    path = tmp_path / "m.safetensors"
    Model(config, build_network(network)).save(path)
    kernels = [w for w in load_model(path).network.parameters() if w.ndim == ndim + 2]
    layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
    assert len(kernels) > 3
    assert all(w.is_contiguous(memory_format=layout) for w in kernels)


def test_truncated(model, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="another copy"):
            load_model(path)


def write(path, config, tensors=None):
    tensors = tensors or {"a": torch.zeros(1)}
    save_file(tensors, path, metadata={"napari_fcn": config})


@pytest.mark.parametrize(
    "config",
    [
        "not json",
        "[]",
        json.dumps({"format": 1, "surprise": True}),
        json.dumps({"network": {"depth": 10**9}}),
        "[" * 100_000,
    ],
)
def test_hostile_descriptions(config, tmp_path):
    path = tmp_path / "m.safetensors"
    write(path, config)
    with pytest.raises(UserError):
        load_model(path)


def test_a_description_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    network = NetworkConfig(width=1024, depth=8)
    config = ModelConfig(network=network, classes=classes_from_values([1, 2]))
    write(path, config.model_dump_json())
    with pytest.raises(UserError, match="do not fit"):
        load_model(path)


def test_newer_format(tmp_path):
    path = tmp_path / "m.safetensors"
    write(path, json.dumps({"format": 99}))
    with pytest.raises(UserError, match="newer"):
        load_model(path)


def test_missing_and_foreign(tmp_path):
    with pytest.raises(UserError, match="no model file"):
        load_model(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="not written by"):
        load_model(tmp_path / "x.safetensors")
