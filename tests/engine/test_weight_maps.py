from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_fcn.engine.masked import IGNORE
from napari_fcn.engine.weight_maps import border_weights


def test_by_hand() -> None:
    # two objects of two pixels with a gap of three
    instances = np.array([[1, 1, 0, 0, 0, 2, 2]])
    weights = border_weights(instances, w0=10, sigma=2)
    balance = {0: 7 / (2 * 3), 1: 7 / (2 * 4)}
    sums = [4 + 1, 4, 1 + 3, 2 + 2, 3 + 1, 4, 1 + 4]
    sums[0] = 1 + 5  # its own border is one pixel away, the other's five
    sums[6] = 1 + 5
    sums[1] = 0 + 4
    sums[5] = 4 + 0
    expected = [
        balance[int(value > 0)] + 10 * math.exp(-(d**2) / (2 * 2**2))
        for value, d in zip(instances[0], sums, strict=True)
    ]
    np.testing.assert_allclose(weights[0], expected, rtol=1e-5)


def test_the_gap_counts_most() -> None:
    instances = np.zeros((30, 41), int)
    instances[8:22, 5:19] = 1
    instances[8:22, 21:36] = 2
    weights = border_weights(instances)
    assert weights[15, 19:21].min() > 8
    assert weights[15, 0] < 2
    assert weights.dtype == np.float32


def test_a_single_object_has_class_weights_only() -> None:
    instances = np.zeros((8, 8), int)
    instances[:2] = 1
    weights = border_weights(instances)
    assert weights[0, 0] == pytest.approx(64 / (2 * 16))
    assert weights[7, 7] == pytest.approx(64 / (2 * 48))
    assert weights.mean() == pytest.approx(1)


def test_not_annotated_counts_nothing() -> None:
    instances = np.array([[0, 3, IGNORE, 3, 0, IGNORE]])
    weights = border_weights(instances)
    assert (weights[0, [2, 5]] == 0).all()
    assert weights[instances != IGNORE].mean() == pytest.approx(1)
    assert not border_weights(np.full((2, 2), IGNORE)).any()


@settings(max_examples=25)
@given(
    hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=9),
        elements=st.integers(-1, 4),
    ),
    st.sampled_from([0.7, 3.0]),
)
def test_equals_the_formula(instances, sigma) -> None:
    distances = [np.full(instances.shape, np.inf)] * 2
    for value in range(1, 5):
        mask = instances == value
        border = mask & ~ndimage.binary_erosion(mask, border_value=1)
        if border.any():
            distances.append(ndimage.distance_transform_edt(~border))
    d = np.sort(np.stack(distances), axis=0)[:2].sum(0)
    term = 10 * np.exp(-(d**2) / (2 * sigma**2))
    base = border_weights(instances, w0=0)
    expected = np.where(instances == IGNORE, 0, base + term)
    found = border_weights(instances, sigma=sigma)
    np.testing.assert_allclose(found, expected, atol=2e-4)
