"""How well a prediction agrees with the truth, from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.engine.losses import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(eq=False)
class Confusion:
    """Counts of pixels by true class (rows) and predicted class (columns).

    Accumulates over crops and images; two of them add up. All scores are finite:
    a class that is neither in the truth nor predicted has Dice and Jaccard 1, while
    means and accuracy are 0 as long as no pixel was compared.

    Attributes
    ----------
    n_classes : int
        Number of classes K.
    counts : ndarray
        int64 (K, K); zero unless given.
    """

    n_classes: int
    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((0, 0), np.int64)
    )

    def __post_init__(self) -> None:
        """Start from zero, or check the counts given.

        Raises
        ------
        ValueError
            If the counts are not (K, K).
        """
        shape = (self.n_classes, self.n_classes)
        if not self.counts.size:
            self.counts = np.zeros(shape, np.int64)
        if self.counts.shape != shape:
            raise ValueError(f"counts are {self.counts.shape}, not {shape}")

    def update(self, truth: NDArray[Any], predicted: NDArray[Any]) -> None:
        """Count the annotated pixels of one image.

        Parameters
        ----------
        truth : ndarray
            Integers, any shape; `IGNORE` where not annotated.
        predicted : ndarray
            Integers, same shape.

        Raises
        ------
        ValueError
            If the shapes differ or a class is not in 0..K-1.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f"truth {truth.shape} and {predicted.shape} differ")
        mask = truth != IGNORE
        rows = truth[mask].astype(np.int64)
        columns = predicted[mask].astype(np.int64)
        for values in (rows, columns):
            if values.size and not 0 <= values.min() <= values.max() < self.n_classes:
                raise ValueError(f"classes must be in 0..{self.n_classes - 1}")
        pairs = rows * self.n_classes + columns
        counts = np.bincount(pairs, minlength=self.n_classes**2)
        self.counts = self.counts + counts.reshape(self.counts.shape)

    def __add__(self, other: Confusion) -> Confusion:
        """Pool the counts of two matrices.

        Raises
        ------
        ValueError
            If they have different numbers of classes.
        """
        if self.n_classes != other.n_classes:
            raise ValueError("the numbers of classes differ")
        return Confusion(self.n_classes, self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """Number of pixels compared."""
        return int(self.counts.sum())

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which classes occur in the truth, bool (K,)."""
        return self.counts.sum(1) > 0

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice coefficient 2|A∩B| / (|A| + |B|) per class (Dice 1945), (K,)."""
        return _ratio(2 * self._overlap, self._sizes)

    @property
    def jaccard(self) -> NDArray[np.float64]:
        """Jaccard index |A∩B| / |A∪B| per class (Jaccard 1912), (K,)."""
        return _ratio(self._overlap, self._sizes - self._overlap)

    @property
    def accuracy(self) -> float:
        """Share of the pixels compared that are right; 0 if there are none."""
        return float(self._overlap.sum() / max(self.pixels, 1))

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the classes in the truth; 0 if there are none."""
        return _mean(self.dice[self.present])

    @property
    def mean_jaccard(self) -> float:
        """Mean Jaccard over the classes in the truth; 0 if there are none."""
        return _mean(self.jaccard[self.present])

    def as_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Everything as plain numbers, strings and lists, for JSON.

        Parameters
        ----------
        class_names : sequence of str
            One name per class, in the order of their indices.

        Returns
        -------
        dict
            ``pixels``, ``accuracy``, ``mean_dice``, ``mean_jaccard``, ``classes`` (a
            list with ``name``, ``pixels`` in the truth, ``dice``, ``jaccard``) and
            ``confusion`` (rows are the truth).

        Raises
        ------
        ValueError
            If there is not exactly one name per class.
        """
        columns = (self.counts.sum(1), self.dice, self.jaccard)
        keys = ("pixels", "dice", "jaccard")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {
            "pixels": self.pixels,
            "accuracy": self.accuracy,
            "mean_dice": self.mean_dice,
            "mean_jaccard": self.mean_jaccard,
            "classes": [
                {"name": name, **dict(zip(keys, row, strict=True))}
                for name, row in zip(class_names, rows, strict=True)
            ],
            "confusion": self.counts.tolist(),
        }

    @property
    def _overlap(self) -> NDArray[np.int64]:
        return np.diagonal(self.counts)

    @property
    def _sizes(self) -> NDArray[np.int64]:
        """|A| + |B| per class."""
        return np.asarray(self.counts.sum(0) + self.counts.sum(1), np.int64)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part / whole, and 1 for nothing out of nothing."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
