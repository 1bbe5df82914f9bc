from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_fcn.data import samples


def test_tissue():
    image, truth = samples.tissue(), samples.tissue_truth()
    assert image.shape == (512, 512, 3)
    assert truth.shape == (512, 512)
    assert image.dtype == truth.dtype == np.uint8
    assert np.unique(truth).tolist() == [1, 2]
    assert 0.3 < (truth == 2).mean() < 0.7
    # Brown: less blue than red where stained, and the other way round elsewhere.
    red_over_blue = image[..., 0].astype(float) - image[..., 2]
    assert red_over_blue[truth == 2].mean() > red_over_blue[truth == 1].mean() + 20
    np.testing.assert_array_equal(truth, samples.tissue_truth())


@pytest.mark.parametrize(("slices", "size"), [(1, 32), (1, 1), (4, 100), (8, 256)])
def test_blobs(slices, size):
    image, truth = samples.blobs(slices, size)
    assert image.shape == truth.shape == (slices, size, size)
    assert image.dtype == truth.dtype == np.uint8
    assert set(np.unique(truth)) <= {1, 2, 3}


def test_blobs_can_be_told_apart():
    image, truth = samples.blobs()
    means = [image[truth == value].mean() for value in (1, 2, 3)]
    assert means[0] < means[2] < means[1]
    # A nucleus lies in a cell: it does not touch the background much.
    rim = ndimage.binary_dilation(truth == 3) & (truth != 3)
    assert (truth[rim] == 2).mean() > 0.9


def test_equal_seeds_make_equal_blobs():
    first, again, other = (samples.blobs(2, 64, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


truths = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=9),
    elements=st.integers(0, 3),
)


@given(truths, st.integers(0, 6), st.integers(0, 3), st.integers(0, 12))
@settings(max_examples=100)
def test_strokes_stay_in_their_class(truth, number, seed, length):
    painted = samples.strokes(truth, number, seed, length)
    assert painted.shape == truth.shape
    assert painted.dtype == truth.dtype
    where = painted > 0
    np.testing.assert_array_equal(painted[where], truth[where])
    planes = zip(
        truth.reshape(-1, *truth.shape[-2:]),
        painted.reshape(-1, *truth.shape[-2:]),
        strict=True,
    )
    for plane, result in planes:
        classes = set(np.unique(plane)) - {0}
        if number >= len(classes):  # then each has its turn, however small it is
            assert set(np.unique(result)) - {0} == classes
    np.testing.assert_array_equal(painted, samples.strokes(truth, number, seed, length))


def test_a_stroke_ends_where_its_class_ends():
    truth = np.ones((60, 60), np.uint8)
    truth[20:40] = 2
    for seed in range(10):
        painted = samples.strokes(truth, number=1, seed=seed, length=100)
        assert np.unique(painted).tolist() == [0, 1]  # it is the turn of class 1


def test_strokes_are_few_and_all_classes_have_some():
    _, truth = samples.blobs(3, 128)
    painted = samples.strokes(truth)
    for plane, result in zip(truth, painted, strict=True):
        assert set(np.unique(result)) == {0, *np.unique(plane)}
        assert 0.005 < (result > 0).mean() < 0.2
    assert (painted != samples.strokes(truth, seed=1)).any()
    fewer, shorter = samples.strokes(truth, number=3), samples.strokes(truth, length=5)
    assert (fewer > 0).sum() < (painted > 0).sum()
    assert (shorter > 0).sum() < (painted > 0).sum()


def test_strokes_leave_out_the_borders_between_classes():
    truth = np.ones((80, 80), np.uint8)
    truth[:, 40:] = 2
    painted = samples.strokes(truth, number=2, length=1)
    for value in (1, 2):
        y, x = np.nonzero(painted == value)
        assert len(y) == 13  # one dab of the brush
        assert y.max() - y.min() == x.max() - x.min() == 4
    assert 0 < (samples.strokes(truth) == 1).sum() < 80 * 40


def test_a_class_smaller_than_the_brush_is_given_a_dot():
    truth = np.zeros((20, 20), np.uint8)
    truth[10, 10] = 3
    assert np.argwhere(samples.strokes(truth)).tolist() == [[10, 10]]


def test_nothing_to_paint():
    assert not samples.strokes(np.zeros((2, 9, 9), np.uint8)).any()
