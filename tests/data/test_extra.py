"""A mask as one more channel."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import napari_fcn as fcn
from napari_fcn.data.axes import Axes
from napari_fcn.data.extra import add_channel, axes_with_channel
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("names", "shape", "with_names"),
    [
        ("YX", (4, 5), "CYX"),
        ("TYX", (2, 4, 5), "CTYX"),
        ("ZCYX", (3, 2, 4, 5), "ZCYX"),
        ("YXC", (4, 5, 2), "YXC"),
        ("YXS", (4, 5, 3), "YXC"),
    ],
)
def test_the_mask_is_the_last_channel(names, shape, with_names):
    image = RANDOM.integers(0, 255, shape).astype(np.uint8)
    axes = Axes.of(names)
    without = tuple(n for i, n in enumerate(shape) if i != axes.channel)
    mask = RANDOM.integers(0, 3, without)
    both = add_channel(image, axes, mask)
    assert axes_with_channel(axes).names == with_names
    one = ImageSource(image, axes, 2)
    two = ImageSource(both, axes_with_channel(axes), 2)
    assert two.n_channels == one.n_channels + 1
    assert two.label_shape == without
    assert two.dtype == np.uint8
    for sample in one.samples():
        found = two.read(sample, two.whole())
        np.testing.assert_array_equal(found[:-1], one.read(sample, one.whole()))
        expected = one.read_labels(mask, sample, one.whole()) > 0
        np.testing.assert_array_equal(found[-1], expected)


def test_probabilities_stay_as_they_are():
    image, mask = np.zeros((4, 5), np.uint8), RANDOM.random((4, 5))
    np.testing.assert_allclose(fcn.with_mask(image, mask, "YX")[1], mask)


def test_lazy_in_lazy_out():
    image = da.zeros((4, 5), chunks=2)
    assert isinstance(fcn.with_mask(image, np.ones((4, 5), bool), "YX"), da.Array)
    assert isinstance(fcn.with_mask(np.ones((4, 5)), np.ones((4, 5)), "YX"), np.ndarray)


def test_scale_and_units_stay():
    axes = axes_with_channel(Axes.of("YX", (2, 3), "micrometer", (5, 6)))
    assert axes.scale == (1, 2, 3)
    assert axes.units == ("pixel", "micrometer", "micrometer")
    assert axes.translate == (0, 5, 6)


def test_a_mask_of_another_shape_is_one_sentence():
    with pytest.raises(UserError, match="belong together"):
        fcn.with_mask(np.zeros((4, 5)), np.zeros((5, 4)), "YX")
