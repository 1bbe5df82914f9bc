"""How many objects are found: matching by overlap, and average precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THRESHOLDS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))
"""0.5, 0.55 … 0.95, as in the Data Science Bowl 2018."""


@dataclass(frozen=True)
class ObjectScore:
    """Objects found, invented and missed at one threshold; two of them add up.

    Attributes
    ----------
    threshold : float
        Least intersection over union of a pair.
    found, invented, missed : int
        True positives, false positives and false negatives.
    overlap : float
        Sum of the intersection over union of the pairs.
    """

    threshold: float
    found: int
    invented: int
    missed: int
    overlap: float

    def __add__(self, other: ObjectScore) -> ObjectScore:
        """Pool the counts of two images.

        Raises
        ------
        ValueError
            If the thresholds differ.
        """
        if self.threshold != other.threshold:
            raise ValueError("the thresholds differ")
        return ObjectScore(
            self.threshold,
            self.found + other.found,
            self.invented + other.invented,
            self.missed + other.missed,
            self.overlap + other.overlap,
        )

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN), as in the Data Science Bowl; 1 if all are 0."""
        return _ratio(self.found, self.found + self.invented + self.missed)

    @property
    def precision(self) -> float:
        """TP / (TP + FP): share of the predicted objects that are right."""
        return _ratio(self.found, self.found + self.invented)

    @property
    def recall(self) -> float:
        """TP / (TP + FN): share of the true objects that are found."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.found, 2 * self.found + self.invented + self.missed)

    @property
    def mean_overlap(self) -> float:
        """Mean intersection over union of the pairs; 0 if there are none."""
        return self.overlap / self.found if self.found else 0.0


def score_objects(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[ObjectScore]:
    """Pair true and predicted objects, and count.

    Parameters
    ----------
    truth, predicted : ndarray
        Integers, same shape, any dimension: 0 background, a number for each object.
    thresholds : sequence of float
        Least intersection over union of a pair, more than 0.

    Returns
    -------
    list of ObjectScore
        One per threshold. Pairs are chosen so that as many objects as possible are
        found, and among those so that they overlap best (Hungarian method).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    overlaps = intersection_over_union(truth, predicted)
    return [_match(overlaps, threshold) for threshold in thresholds]


def intersection_over_union(
    truth: NDArray[Any], predicted: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the Jaccard index of each pair of objects.

    Parameters
    ----------
    truth, predicted : ndarray
        Integers, same shape: 0 background, a number for each object.

    Returns
    -------
    ndarray
        float64 (true objects, predicted objects), in the order of their numbers.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {truth.shape} and {predicted.shape} differ")
    rows, row = np.unique(truth, return_inverse=True)
    columns, column = np.unique(predicted, return_inverse=True)
    pairs = row.ravel() * len(columns) + column.ravel()
    counts = np.bincount(pairs, minlength=len(rows) * len(columns))
    common = counts.reshape(len(rows), len(columns))
    union = common.sum(1, keepdims=True) + common.sum(0, keepdims=True) - common
    return np.asarray((common / union)[np.ix_(rows != 0, columns != 0)])


def _match(overlaps: NDArray[np.float64], threshold: float) -> ObjectScore:
    n_true, n_predicted = overlaps.shape
    # One more pair outweighs any gain in overlap.
    gains = (overlaps >= threshold) * (1 + overlaps / (1 + min(overlaps.shape)))
    pairs = linear_sum_assignment(gains, maximize=True)
    good = overlaps[pairs][overlaps[pairs] >= threshold]
    found = len(good)
    return ObjectScore(
        threshold, found, n_predicted - found, n_true - found, float(good.sum())
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
