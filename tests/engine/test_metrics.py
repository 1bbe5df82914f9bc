"""The confusion matrix and its scores."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fcn.engine.losses import IGNORE
from napari_fcn.engine.metrics import Confusion

counts = st.integers(1, 5).flatmap(
    lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 10**9))
)


def compared(truth: list[int], predicted: list[int], n_classes: int) -> Confusion:
    confusion = Confusion(n_classes)
    confusion.update(np.array(truth), np.array(predicted))
    return confusion


def test_by_hand() -> None:
    confusion = compared([0, 0, 0, 1, 1, IGNORE], [0, 0, 1, 1, 0, 0], 3)
    assert confusion.counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert confusion.pixels == 5
    assert confusion.accuracy == pytest.approx(3 / 5)
    np.testing.assert_allclose(confusion.dice, [4 / 6, 2 / 4, 1])
    np.testing.assert_allclose(confusion.jaccard, [2 / 4, 1 / 3, 1])
    assert confusion.mean_dice == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert confusion.mean_jaccard == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_a_class_only_predicted_scores_zero_but_is_not_in_the_mean() -> None:
    confusion = compared([0, 0, 0, 0], [0, 0, 0, 1], 2)
    assert confusion.dice[1] == 0
    assert confusion.mean_jaccard == pytest.approx(3 / 4)


def test_nothing_compared() -> None:
    confusion = compared([IGNORE], [0], 2)
    assert confusion.dice.tolist() == confusion.jaccard.tolist() == [1, 1]
    assert (confusion.accuracy, confusion.mean_dice, confusion.mean_jaccard) == (0,) * 3


def test_what_is_predicted_where_nothing_is_annotated_does_not_matter() -> None:
    assert compared([IGNORE, 1], [99, 1], 2).pixels == 1


def test_unsigned_and_small_integers() -> None:
    confusion = Confusion(200)
    confusion.update(np.full((2, 3), 199, np.uint8), np.full((2, 3), 199, np.uint8))
    assert confusion.counts[199, 199] == 6


@pytest.mark.parametrize(
    ("truth", "predicted"), [([0, 2], [0, 0]), ([0, 0], [0, 2]), ([0, -2], [0, 0])]
)
def test_unknown_classes(truth, predicted) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        compared(truth, predicted, 2)


def test_mismatches() -> None:
    with pytest.raises(ValueError, match="differ"):
        compared([0, 0], [0], 2)
    with pytest.raises(ValueError, match="differ"):
        Confusion(2) + Confusion(3)
    with pytest.raises(ValueError, match="counts are"):
        Confusion(2, np.zeros((3, 3), np.int64))


def test_updates_and_sums_pool() -> None:
    first, second = compared([0, 1], [0, 0], 2), compared([1, 1], [1, 0], 2)
    both = compared([0, 1, 1, 1], [0, 0, 1, 0], 2)
    np.testing.assert_array_equal((first + second).counts, both.counts)
    np.testing.assert_array_equal(first.counts, [[1, 0], [1, 0]])
    first.update(np.array([1, 1]), np.array([1, 0]))
    np.testing.assert_array_equal(first.counts, both.counts)


def test_as_dict_is_json() -> None:
    confusion = compared([0, 0, 1], [0, 1, 1], 2)
    found = json.loads(json.dumps(confusion.as_dict(["background", "cell"])))
    assert found["pixels"] == 3
    assert found["confusion"] == [[1, 1], [0, 1]]
    cell = found["classes"][1]
    assert cell["name"] == "cell"
    assert cell["pixels"] == 1
    assert cell["dice"] == pytest.approx(2 / 3)
    assert cell["jaccard"] == pytest.approx(1 / 2)


def test_as_dict_needs_all_names() -> None:
    with pytest.raises(ValueError, match="zip"):
        Confusion(2).as_dict(["background"])


@given(counts)
def test_jaccard_and_dice_belong_together(matrix) -> None:
    confusion = Confusion(len(matrix), matrix)
    dice, jaccard = confusion.dice, confusion.jaccard
    assert (jaccard >= 0).all()
    assert (jaccard <= dice).all()
    assert (dice <= 1).all()
    np.testing.assert_allclose(dice, 2 * jaccard / (1 + jaccard))
    means = np.array([confusion.mean_dice, confusion.mean_jaccard, confusion.accuracy])
    assert np.isfinite(means).all()


@given(counts)
def test_scores_are_symmetric(matrix) -> None:
    there, back = Confusion(len(matrix), matrix), Confusion(len(matrix), matrix.T)
    np.testing.assert_array_equal(there.dice, back.dice)
    np.testing.assert_array_equal(there.jaccard, back.jaccard)
