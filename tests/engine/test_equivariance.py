from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.engine.equivariance import effect_by_distance, frame_effect
from napari_fcn.engine.model import Model
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    config = NetworkConfig(width=4, depth=2)
    classes = classes_from_values([1, 2])
    return Model(ModelConfig(network=config, classes=classes), build_network(config))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((1, 96, 88), np.float32)


def test_no_effect_of_a_shift_by_the_stride(model, image):
    halo = model.receptive_field.halo[0]
    effect = frame_effect(model, image, (slice(8, None), slice(None)))
    assert effect.shape == (88, 88)
    assert effect[halo:].max() < 1e-5
    assert effect[:halo].max() > 1e-4


def test_some_effect_of_a_shift_between_strides(model, image):
    halo = model.receptive_field.halo[0]
    effect = frame_effect(model, image, (slice(9, None), slice(None)))
    assert effect[halo:-halo].max() > 1e-4


def test_no_border_is_seen_from_further_than_the_receptive_field(model, image):
    halo = model.receptive_field.halo[0]
    effect = frame_effect(model, image, (slice(8, 88), slice(8, 80)))
    by_distance = effect_by_distance(effect)
    assert len(by_distance) == 36
    assert by_distance[0] == max(
        effect[0].max(), effect[:, -1].max(), effect[-1].max(), effect[:, 0].max()
    )
    assert by_distance[0] > 10 * by_distance[halo - 1]
    assert by_distance[halo:].max() < 1e-5


def test_rings_in_3d():
    effect = np.zeros((3, 4, 5), np.float32)
    effect[1, 1, 2] = 0.5
    effect[0, 0, 0] = 0.25
    assert effect_by_distance(effect).tolist() == [0.25, 0.5]


def test_sizes_need_not_fit_the_stride(model, image):
    whole = (slice(None), slice(None))
    assert frame_effect(model, image[:, :61, :53], whole).max() == 0


def test_an_empty_frame_is_one_sentence(model, image):
    with pytest.raises(UserError, match="larger"):
        frame_effect(model, image, (slice(96, None), slice(None)))
