"""Coordinates go with the pixels from training through tiles to the live view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn import train
from napari_fcn.config import (
    AugmentationConfig,
    ModelConfig,
    NetworkConfig,
    TrainingConfig,
    classes_from_values,
)
from napari_fcn.data.axes import Axes
from napari_fcn.data.normalisation import Normalisation
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.augmentation import Augmenter
from napari_fcn.engine.equivariance import frame_effect
from napari_fcn.engine.inputs import input_cache, network_input
from napari_fcn.engine.model import Model
from napari_fcn.engine.predict import predict_array
from napari_fcn.networks import build_network, coordinate_channels

CONFIG = NetworkConfig(width=4, depth=1, coordinates=True)


def model_of(config: NetworkConfig) -> Model:
    torch.manual_seed(0)
    classes = classes_from_values([1, 2])
    return Model(ModelConfig(network=config, classes=classes), build_network(config))


def test_nothing_is_added_where_nothing_is_wanted():
    image = np.zeros((1, 3, 4), np.float32)
    region = (slice(0, 3), slice(0, 4))
    assert network_input(NetworkConfig(), image, region, (3, 4)) is image


def test_training_crops_have_the_coordinates_of_the_whole_image():
    image = np.arange(300 * 20, dtype=np.float32).reshape(300, 20)
    source = ImageSource(image, Axes.of("YX"), 2)
    normal = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))
    region = (slice(250, 270), slice(3, 9))
    found = input_cache([source], [normal], CONFIG).read((0, ()), region)
    assert found.shape == (3, 20, 6)
    expected = coordinate_channels(region, (300, 20))
    np.testing.assert_array_equal(found[1:], expected)
    plain = input_cache([source], [normal], NetworkConfig()).read((0, ()), region)
    np.testing.assert_array_equal(found[:1], plain)


def test_coordinates_move_with_the_pixels_and_are_no_intensities():
    """With the coordinates as image, too, both are still the same after moving."""
    config = AugmentationConfig(brightness=0, contrast=0, noise=0, blur=0)
    region = (slice(0, 32), slice(0, 32))
    places = torch.from_numpy(coordinate_channels(region, (32, 32)))[None]
    image = torch.cat([places, places], 1)
    target = torch.zeros(1, 32, 32, dtype=torch.int64)
    make = torch.Generator().manual_seed
    moved, _ = Augmenter(config, 2, make(0), "cpu", places=2)(image, target)
    torch.testing.assert_close(moved[:, :2], moved[:, 2:])
    assert (moved - image).abs().max() > 0.1
    strong = AugmentationConfig(flip=False, rotate=False, scale=0, elastic=0, noise=1)
    varied, _ = Augmenter(strong, 2, make(0), "cpu", places=2)(image, target)
    assert torch.equal(varied[:, 2:], places)
    assert not torch.equal(varied[:, :2], places)


@pytest.mark.parametrize("ndim", [2, 3])
def test_tiles_equal_the_whole(ndim):
    model = model_of(CONFIG.model_copy(update={"ndim": ndim}))
    image = np.random.default_rng(0).random((5, 30, 41)[-ndim:], np.float32)
    whole = predict_array(model, image, output="probabilities", tile=1000)
    tiled = predict_array(model, image, output="probabilities", tile=8)
    assert np.abs(whole - tiled).max() < 1e-4


def test_a_frame_keeps_the_coordinates_of_the_whole():
    model = model_of(CONFIG)
    halo = model.receptive_field.halo[0]
    image = np.random.default_rng(0).random((1, 80, 40), np.float32)
    effect = frame_effect(model, image, (slice(2, None), slice(None)))
    assert effect[halo:].max() < 1e-5


def test_a_network_learns_what_only_position_tells():
    """Two halves of the same noise: without coordinates nobody could tell them."""
    random = np.random.default_rng(0)
    image = random.normal(size=(64, 200)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[10:54:6, 5:95], labels[10:54:6, 105:195] = 1, 2
    model = train(
        image,
        labels,
        steps=60,
        network=NetworkConfig(width=8, depth=1, coordinates=True),
        config=TrainingConfig(crop=32, batch=8, held_out=0, precision="float32"),
    )
    truth = np.where(np.arange(200) < 100, 0, 2)[None]
    assert (model.predict(image) == truth).mean() > 0.9
