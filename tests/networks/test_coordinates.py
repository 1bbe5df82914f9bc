"""Coordinates are those of the whole image, so that tiles stay exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.tiling import pad_to_stride, plan_tiles
from napari_fcn.errors import UserError
from napari_fcn.networks import (
    NETWORKS,
    build_network,
    coordinate_channels,
    receptive_field,
)


def test_by_hand():
    found = coordinate_channels((slice(0, 3), slice(1, 3)), (3, 5))
    assert found.dtype == np.float32
    assert found[0].tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert found[1].tolist() == [[-0.5, 0]] * 3
    assert coordinate_channels((slice(0, 1),), (1,)).tolist() == [[0]]


@given(st.data())
def test_a_part_has_the_coordinates_of_the_whole(data):
    shape = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=3))
    starts = [data.draw(st.integers(0, size - 1)) for size in shape]
    region = tuple(slice(a, s) for a, s in zip(starts, shape, strict=True))
    whole = coordinate_channels(tuple(slice(0, s) for s in shape), shape)
    part = coordinate_channels(region, shape)
    assert np.array_equal(whole[(slice(None), *region)], part)
    assert np.abs(whole).max() <= 1


def with_coordinates(image, region, shape):
    return np.concatenate([image, coordinate_channels(region, shape)])


@given(st.tuples(st.integers(20, 60), st.integers(20, 60)), st.integers(4, 30))
@settings(max_examples=15)
def test_tiles_with_coordinates_equal_the_whole(shape, edge):
    torch.manual_seed(0)
    config = NetworkConfig(width=4, depth=1, coordinates=True)
    network = build_network(config).eval()
    field = receptive_field(network)
    image = np.random.default_rng(0).random((1, *shape), np.float32)

    def predict(tile_edge):
        result = np.zeros((2, *shape), np.float32)
        for tile in plan_tiles(shape, (tile_edge,) * 2, field):
            pixels = image[(slice(None), *tile.read)]
            inputs = with_coordinates(pixels, tile.read, shape)
            padded = torch.from_numpy(pad_to_stride(inputs, tile.pad))[None]
            with torch.inference_mode():
                logits = network(padded)[0].numpy()
            result[(slice(None), *tile.core)] = logits[(slice(None), *tile.keep)]
        return result

    assert np.abs(predict(1000) - predict(edge)).max() < 1e-4


def test_it_can_tell_left_from_right():
    """What no network can that sees the same pixels everywhere."""
    torch.manual_seed(0)
    shape = (8, 200)
    region = tuple(slice(0, s) for s in shape)
    blank = np.zeros((1, *shape), np.float32)
    with torch.inference_mode():
        blind = build_network(NetworkConfig(width=4, depth=1)).eval()
        alike = blind(torch.from_numpy(blank)[None])[0, 0, 4, 40:-40]
        told = build_network(NetworkConfig(width=4, depth=1, coordinates=True)).eval()
        inputs = with_coordinates(blank, region, shape)
        different = told(torch.from_numpy(inputs)[None])[0, 0, 4, 40:-40]
    assert torch.equal(alike[::2], alike[:1].expand(60))
    assert different[::2].std() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_them(name):
    config = NetworkConfig(name=name, width=1, in_channels=2, coordinates=True)
    assert config.input_channels == 4
    network = build_network(config).eval()
    stride = receptive_field(network).stride
    with torch.inference_mode():
        assert network(torch.rand(1, 4, *stride)).shape[2:] == stride


def test_missing_coordinates_are_one_sentence():
    network = build_network(NetworkConfig(width=2, depth=1, coordinates=True))
    with pytest.raises(UserError, match="coordinates"):
        network(torch.zeros(1, 1, 4, 4))
