from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fcn.engine.partition_scores import (
    PartitionScore,
    compare_membranes,
    compare_partitions,
    segments_between,
)

labels = hnp.arrays(np.int64, (5, 6), elements=st.integers(0, 4))


def numbers(score: PartitionScore) -> list[float]:
    parts = [score.rand_split, score.rand_merge, score.info_split, score.info_merge]
    return [*parts, score.v_rand, score.v_info]


def test_by_hand() -> None:
    truth = np.array([1, 1, 1, 1, 2, 2, 0, 0])
    predicted = np.array([5, 5, 5, 7, 7, 7, 7, 5])
    score = compare_partitions(truth, predicted)
    joint = (9 + 1 + 4) / 36
    assert score.rand_split == pytest.approx(joint / ((16 + 4) / 36))
    assert score.rand_merge == pytest.approx(joint / ((9 + 9) / 36))
    assert score.v_rand == pytest.approx(2 * 14 / (20 + 18))

    def entropy(*shares: float) -> float:
        return -sum(s / 6 * math.log(s / 6) for s in shares)

    shared = entropy(4, 2) + entropy(3, 3) - entropy(3, 1, 2)
    assert score.info_split == pytest.approx(shared / entropy(3, 3))
    assert score.info_merge == pytest.approx(shared / entropy(4, 2))
    assert score.v_info == pytest.approx(2 * shared / (entropy(3, 3) + entropy(4, 2)))


def test_predicted_border_pixels_are_segments_of_their_own() -> None:
    truth, predicted = np.array([1, 1, 1, 1]), np.array([1, 1, 0, 0])
    score = compare_partitions(truth, predicted)
    assert score.rand_split == pytest.approx((4 + 1 + 1) / 16)
    assert score.rand_merge == pytest.approx(1)


def test_everything_merged_has_no_information() -> None:
    truth = np.repeat([1, 2, 3], 4)
    score = compare_partitions(truth, np.ones_like(truth))
    assert score.rand_split == 1
    assert score.rand_merge == pytest.approx(1 / 3)
    assert score.info_merge == pytest.approx(0)


def test_no_segments_and_shapes() -> None:
    assert numbers(compare_partitions(np.zeros(3, int), np.ones(3, int))) == [1.0] * 6
    with pytest.raises(ValueError, match="differ"):
        compare_partitions(np.zeros(3), np.zeros(4))


@given(labels, labels)
def test_between_0_and_1_whatever_the_numbers(truth, predicted) -> None:
    found = numbers(compare_partitions(truth, predicted))
    assert all(0 <= x <= 1 + 1e-12 for x in found)
    renumbered = np.where(predicted > 0, 9 - predicted, 0)
    assert numbers(compare_partitions(truth, renumbered)) == pytest.approx(found)


@given(labels)
def test_the_truth_itself_is_perfect(truth) -> None:
    assert numbers(compare_partitions(truth, truth)) == pytest.approx([1] * 6)


@given(labels.map(lambda a: a + 1), labels.map(lambda a: a + 1))
def test_split_and_merge_change_places(truth, predicted) -> None:
    here, there = (
        compare_partitions(truth, predicted),
        compare_partitions(predicted, truth),
    )
    assert here.rand_split == pytest.approx(there.rand_merge)
    assert here.info_merge == pytest.approx(there.info_split)


def test_thick_borders_are_thinned_and_loose_ends_vanish() -> None:
    borders = np.zeros((20, 31), bool)
    borders[:, 12:17] = True  # separates left and right
    borders[8:11, 20:26] = True  # separates nothing
    found = segments_between(borders)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert ((found == 0).sum(1) == 1).all()
    assert (found[8:11, 20:26] == 2).all()


@settings(max_examples=20)
@given(hnp.arrays(bool, (9, 10)))
def test_thinning_keeps_the_regions_apart(borders) -> None:
    found = segments_between(borders)
    for axis in (0, 1):
        here = np.take(found, range(found.shape[axis] - 1), axis)
        there = np.take(found, range(1, found.shape[axis]), axis)
        assert not ((here != there) & (here > 0) & (there > 0)).any()
    assert (found[~borders] > 0).all()


def test_membranes_of_any_width_score_the_same() -> None:
    truth = np.ones((40, 40), bool)
    truth[19:21] = truth[:, 19:21] = False
    for width in (1, 3, 6):
        probability = np.ones((40, 40))
        probability[20 - width : 20 + width] = 0.25
        probability[:, 20 - width : 20 + width] = 0.25
        by_rand, by_info = compare_membranes(truth, probability)
        assert by_rand.v_rand > 0.999
        assert by_info.v_info > 0.999


def test_a_gap_merges_and_a_false_membrane_splits() -> None:
    truth = np.ones((40, 40), bool)
    truth[:, 20] = False
    gap = np.ones((40, 40))
    gap[:, 20] = 0
    gap[18:22, 20] = 1
    merged, _ = compare_membranes(truth, gap)
    assert merged.rand_split == pytest.approx(1)
    assert merged.rand_merge < 0.6
    false = np.where(truth, 1.0, 0.0)
    false[20] = 0
    split, _ = compare_membranes(truth, false)
    assert split.rand_merge > 0.99
    assert split.rand_split < 0.6


def test_the_best_threshold_is_taken() -> None:
    truth = np.ones((20, 20), bool)
    truth[:, 10] = False
    probability = np.where(truth, 0.75, 0.65)
    best, _ = compare_membranes(truth, probability)
    assert best.v_rand > 0.99
    fixed, _ = compare_membranes(truth, probability, [0.5])
    assert fixed.v_rand < 0.7
