from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 5, "X": 6}
REFERENCE = np.arange(2 * 3 * 2 * 5 * 6, dtype=np.uint16).reshape(2, 3, 2, 5, 6)


def in_order(letters):
    """The reference image (axes TZCYX) with its axes in another order."""
    return REFERENCE.transpose(["TZCYX".index(letter) for letter in letters])


@given(st.permutations("TZCYX").map("".join))
def test_any_order_of_axes_reads_the_same(letters):
    source = ImageSource(in_order(letters), Axes.of(letters), 3)
    assert source.spatial_shape == (3, 5, 6)
    assert source.n_channels == 2
    assert source.sample_shape == (2,)
    region = (slice(1, 3), slice(0, 4), slice(2, 3))
    block = source.read((1,), region)
    assert block.dtype == np.float32
    assert block.flags["C_CONTIGUOUS"]
    expected = REFERENCE[1][region[0]][:, :, region[1], region[2]]
    np.testing.assert_array_equal(block, expected.transpose(1, 0, 2, 3))


@given(st.permutations("TZCYX").map("".join), st.sampled_from([2, 3]))
def test_labels_round_trip_in_any_order(letters, ndim):
    source = ImageSource(in_order(letters), Axes.of(letters), ndim)
    labels = np.zeros(source.label_shape, np.uint8)
    assert source.label_axes.names == letters.replace("C", "")
    for n, sample in enumerate(source.samples(), start=1):
        block = np.full(source.spatial_shape, n, np.uint8)
        block[..., 0, 1] = 100 + n
        source.write_labels(labels, sample, source.whole(), block)
        got = source.read_labels(labels, sample, source.whole())
        np.testing.assert_array_equal(got, block)
    assert labels.all()


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array, zarr.array])
def test_numpy_dask_and_zarr(wrap):
    source = ImageSource(wrap(REFERENCE), Axes.of("TZCYX"), 2)
    assert source.sample_shape == (2, 3)
    assert len(list(source.samples())) == source.n_samples == 6
    block = source.read((1, 2), source.whole())
    np.testing.assert_array_equal(block, REFERENCE[1, 2])
    assert source.dtype == np.uint16


class Recorder:
    """An array that notes what was read from it and fails for all else."""

    shape = (10**6, 10**6, 10**6)
    dtype = np.dtype(np.uint8)

    def __init__(self):
        self.asked = []

    def __getitem__(self, key):
        self.asked.append(key)
        return np.zeros([s.stop - s.start for s in key if isinstance(s, slice)])


def test_only_the_region_is_read():
    data = Recorder()
    source = ImageSource(data, Axes.of("ZYX"), 2)
    block = source.read((7,), (slice(5, 7), slice(1, 2)))
    assert block.shape == (1, 2, 1)
    assert data.asked == [(7, slice(5, 7, None), slice(1, 2, None))]


def test_one_pixel_and_no_sample_axes():
    source = ImageSource(np.ones((1, 1)), Axes.of("YX"), 2)
    assert list(source.samples()) == [()]
    assert source.read((), source.whole()).shape == (1, 1, 1)
    assert source.label_index((), (slice(None), slice(None))) == (
        slice(0, 1),
        slice(0, 1),
    )


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((2, 2), complex),
        np.zeros((2, 2), object),
        np.zeros((2, 2), "U3"),
        np.zeros((0, 2)),
        np.zeros((2, 2, 2)),
    ],
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(UserError):
        ImageSource(data, Axes.of("YX"), 2)


@pytest.mark.parametrize(
    ("sample", "region"),
    [
        ((2,), (slice(0, 1),) * 3),
        ((-1,), (slice(0, 1),) * 3),
        ((), (slice(0, 1),) * 3),
        ((0,), (slice(0, 1),) * 2),
        ((0,), (slice(0, 1), slice(0, 1), slice(0, 7))),
        ((0,), (slice(0, 1), slice(0, 1), slice(-2, -1))),
        ((0,), (slice(0, 1), slice(0, 1), slice(2, 2))),
        ((0,), (slice(0, 1), slice(0, 1), slice(0, 4, 2))),
    ],
)
def test_outside_is_refused(sample, region):
    source = ImageSource(REFERENCE, Axes.of("TZCYX"), 3)
    with pytest.raises(UserError):
        source.read(sample, region)


def test_labels_of_another_shape_are_refused():
    source = ImageSource(REFERENCE, Axes.of("TZCYX"), 3)
    with pytest.raises(UserError, match="without its channels"):
        source.read_labels(REFERENCE, (0,), source.whole())


def test_numbers_too_large_for_float32_do_not_warn():
    source = ImageSource(np.full((2, 2), 1e300), Axes.of("YX"), 2)
    assert np.isinf(source.read((), source.whole())).all()


def test_a_failing_disk_is_one_sentence():
    class Broken(Recorder):
        def __getitem__(self, key):
            raise OSError("device gone")

    source = ImageSource(Broken(), Axes.of("ZYX"), 2, name="stack.tif")
    with pytest.raises(UserError, match=r"stack\.tif could not be read"):
        source.read((0,), (slice(0, 1), slice(0, 1)))
