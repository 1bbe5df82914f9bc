from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fcn.engine.object_scores import (
    THRESHOLDS,
    ObjectScore,
    intersection_over_union,
    score_objects,
)

objects = hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 3))


def test_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3, 3]])
    predicted = np.array([[7, 7, 7, 0, 0, 8, 8, 8, 0, 0]])
    table = intersection_over_union(truth, predicted)
    np.testing.assert_allclose(table, [[3 / 4, 0], [0, 2 / 3], [0, 0]])
    half, strict = score_objects(truth, predicted, [0.5, 0.7])
    assert (half.found, half.invented, half.missed) == (2, 0, 1)
    assert half.average_precision == pytest.approx(2 / 3)
    assert half.precision == 1
    assert half.recall == pytest.approx(2 / 3)
    assert half.f1 == pytest.approx(4 / 5)
    assert half.mean_overlap == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert (strict.found, strict.invented, strict.missed) == (1, 1, 2)
    assert strict.average_precision == pytest.approx(1 / 4)


def test_thresholds_of_the_challenge() -> None:
    np.testing.assert_allclose(THRESHOLDS, np.arange(0.5, 0.951, 0.05))
    truth = np.ones((10, 10), int)
    predicted = np.zeros((10, 10), int)
    predicted[:7] = 1
    scores = [s.average_precision for s in score_objects(truth, predicted)]
    assert scores == [1] * 5 + [0] * 5


def test_nothing_there() -> None:
    empty, one = np.zeros((3, 3), int), np.ones((3, 3), int)
    assert score_objects(empty, empty)[0].average_precision == 1
    assert score_objects(one, empty)[0].average_precision == 0
    assert score_objects(empty, one)[0].invented == 1


def test_many_pairs_before_good_pairs() -> None:
    # at a low threshold object 2 could pair with either; only one way pairs both
    truth = np.array([[1] * 4 + [2] * 6])
    predicted = np.array([[0] * 3 + [5] * 6 + [6]])
    (score,) = score_objects(truth, predicted, [0.1])
    assert score.found == 2


def test_sums_and_mismatches() -> None:
    pooled = ObjectScore(0.5, 1, 2, 3, 0.8) + ObjectScore(0.5, 1, 0, 0, 0.6)
    assert pooled == ObjectScore(0.5, 2, 2, 3, pytest.approx(1.4))
    with pytest.raises(ValueError, match="thresholds"):
        ObjectScore(0.5, 1, 1, 1, 0.5) + ObjectScore(0.6, 1, 1, 1, 0.7)
    with pytest.raises(ValueError, match="differ"):
        score_objects(np.zeros((2, 2)), np.zeros((3, 2)))


@given(objects, objects, st.sampled_from([0.05, 0.3, 0.5, 0.75]))
def test_no_pairing_is_better(truth, predicted, threshold) -> None:
    table = intersection_over_union(truth, predicted)
    (score,) = score_objects(truth, predicted, [threshold])
    small, large = sorted(table.shape)
    wide = table if table.shape[0] == small else table.T
    best = (0, 0.0)
    for chosen in itertools.permutations(range(large), small):
        good = [v for v in wide[range(small), chosen] if v >= threshold]
        best = max(best, (len(good), round(sum(good), 9)))
    assert (score.found, round(score.overlap, 9)) == best
    assert score.found + score.missed == table.shape[0]
    assert score.found + score.invented == table.shape[1]


@given(objects, objects)
def test_stricter_thresholds_find_no_more(truth, predicted) -> None:
    found = [s.average_precision for s in score_objects(truth, predicted)]
    assert found == sorted(found, reverse=True)
    assert all(0 <= x <= 1 for x in found)
