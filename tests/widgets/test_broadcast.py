"""Labels repeated along a channel axis: they index and paint as numpy would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from napari.components import ViewerModel
from napari.layers import Labels

from napari_fcn.data.store import ChunkStore
from napari_fcn.widgets.broadcast import ChannelBroadcast

INNER = (3, 5, 6)
AXES = (0, 1, 2, 3)


def make(folder, axis, channels=4, shape=INNER):
    store = ChunkStore.create(folder / f"{axis}.zarr", shape, "uint8")
    values = np.random.default_rng(axis).integers(0, 9, shape).astype(np.uint8)
    store[...] = values
    repeated = np.repeat(np.expand_dims(values, axis), channels, axis)
    return store, ChannelBroadcast(store, axis, channels), repeated


@pytest.fixture(scope="module", params=AXES)
def pair(request, tmp_path_factory):
    """A broadcast store, and the numpy array that it stands for."""
    return make(tmp_path_factory.mktemp("store"), request.param)[1:]


SHAPES = {axis: (*INNER[:axis], 4, *INNER[axis:]) for axis in AXES}


@given(st.data())
@settings(max_examples=60)
def test_it_reads_as_numpy_does(pair, data):
    broadcast, expected = pair
    assert broadcast.shape == expected.shape
    shape = expected.shape
    key = data.draw(
        stn.basic_indices(shape)
        | stn.integer_array_indices(shape)
        | stn.arrays(bool, shape)
    )
    np.testing.assert_array_equal(broadcast[key], expected[key])


def test_it_says_what_an_array_says(pair):
    broadcast, expected = pair
    assert len(broadcast) == len(expected)
    assert (broadcast.ndim, broadcast.size) == (expected.ndim, expected.size)
    assert broadcast.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(broadcast), expected)
    with pytest.raises(IndexError):
        broadcast[9, 9, 9, 9]
    where = [0, 0, 0, 0]
    where[expected.shape.index(4)] = 4  # there are four channels
    with pytest.raises(IndexError):
        broadcast[tuple(where)]


@pytest.mark.parametrize("axis", AXES)
def test_what_is_written_to_one_channel_is_on_all(tmp_path, axis):
    store, broadcast, _ = make(tmp_path, axis)
    store[...] = 0
    region = [slice(1, 2), slice(2, 4), slice(0, 3)]
    region.insert(axis, slice(2, 3))
    broadcast[tuple(region)] = np.full((1,) * 4, 7)
    expected = np.zeros(INNER, np.uint8)
    expected[1:2, 2:4, 0:3] = 7
    np.testing.assert_array_equal(store[...], expected)


@pytest.mark.parametrize("axis", AXES)
def test_a_mask_of_all_axes_is_written(tmp_path, axis):
    store, broadcast, expected = make(tmp_path, axis)
    mask = expected == 3
    assert mask.any()
    broadcast[mask] = 9
    assert not (store[...] == 3).any()
    np.testing.assert_array_equal(broadcast[...], np.where(mask, 9, expected))


def test_what_differs_between_channels_is_merged(tmp_path):
    store, broadcast, _ = make(tmp_path, 1)
    store[...] = 1
    block = np.ones((3, 4, 5, 6), np.uint8)
    block[0, 1, 0, :] = 2
    block[0, 3, 0, 4:] = 5
    broadcast[...] = block
    expected = np.ones(INNER, np.uint8)
    expected[0, 0] = [2, 2, 2, 2, 5, 5]
    np.testing.assert_array_equal(store[...], expected)


ORDERS = {"as they are": (0, 1, 2, 3), "rolled": (1, 3, 0, 2), "turned": (0, 1, 3, 2)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("edit", [2, 3, 4])
def test_napari_paints_on_it_and_takes_back(tmp_path, order, edit):
    store = ChunkStore.create(tmp_path / "a.zarr", (4, 20, 24), "uint8")
    layer = Labels(ChannelBroadcast(store, 1, 3))
    viewer = ViewerModel()
    viewer.add_layer(layer)
    viewer.dims.order = ORDERS[order]
    layer.n_edit_dimensions = edit
    layer.brush_size = 5
    layer.paint((1, 2, 9, 9), 3)
    first = store[...]
    assert first[1, 9, 9] == 3
    layer.paint((1, 0, 10, 11), 4)
    layer.fill((1, 0, 9, 8), 6)
    painted = store[...]
    assert {0, 4, 6} <= set(np.unique(painted))
    np.testing.assert_array_equal(
        layer.data[...], np.repeat(painted[:, None], 3, axis=1)
    )
    for _ in range(2):
        layer.undo()
    np.testing.assert_array_equal(store[...], first)
    layer.undo()
    assert not store[...].any()
    for _ in range(3):
        layer.redo()
    np.testing.assert_array_equal(store[...], painted)
