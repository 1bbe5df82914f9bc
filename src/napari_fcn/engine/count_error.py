"""How far counts are from the truth, and what that says of a new count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.config import CountError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

_USUAL = 0.3
"""Variance per object that is assumed before anything is measured …"""
_WEIGHT = 5.0
"""… and as how many objects this assumption counts."""
_APART = 0.02
"""How far counts of unseen images are off on average, where those of learned images are
right: the standard deviation over networks, relative to the counts."""


class CountPairs:
    """True and predicted counts of regions, in groups such as images.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    """

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes
        self._truth: list[NDArray[np.float64]] = []
        self._found: list[NDArray[np.float64]] = []
        self._groups: list[Hashable] = []

    def add(
        self, truth: NDArray[Any], found: NDArray[Any], group: Hashable = None
    ) -> None:
        """Note the counts (K,) of a region."""
        self._truth.append(np.asarray(truth, np.float64))
        self._found.append(np.asarray(found, np.float64))
        self._groups.append(group)

    def joined(self, other: CountPairs) -> CountPairs:
        """Return these counts and others, as new ones."""
        both = CountPairs(self._n_classes)
        for pairs in (self, other):
            both._truth += pairs._truth
            both._found += pairs._found
            both._groups += pairs._groups
        return both

    def __len__(self) -> int:
        """Return how many regions there are."""
        return len(self._truth)

    def mean_absolute_error(self) -> NDArray[np.float64]:
        """Return the mean over regions of |error| per class, (K,) float64."""
        truth, found = self._arrays()
        error: NDArray[np.float64] = np.abs(found - truth).mean(0)
        return error

    def accuracy(self) -> NDArray[np.float64]:
        """Return 1 - sum |error| / sum of objects per class, at least 0; NaN without.

        Returns
        -------
        (K,) float64
        """
        truth, found = self._arrays()
        objects = truth.sum(0)
        wrong = np.abs(found - truth).sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(objects > 0, np.maximum(0, 1 - wrong / objects), np.nan)

    def gains(self, largest: float) -> NDArray[np.float64]:
        """Return what counts must be multiplied by to be right on average, (K,).

        Parameters
        ----------
        largest : float
            Between this and one over it.
        """
        truth, found = self._arrays()
        gains = truth.sum(0) / np.maximum(found.sum(0), 1e-9)
        gains = np.where(truth.sum(0) > 0, gains, 1.0)
        return np.clip(gains, 1 / largest, largest)

    def corrections(
        self, gains: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return by what counts of held-out regions are still off on average.

        The ratio of true and predicted counts, drawn towards 1 the more, the less the
        regions tell about it (empirical Bayes: the means of networks deviate by
        2 %, the mean over these regions by what their scatter says).

        Parameters
        ----------
        gains : (K,) float64
            What counts are multiplied by before.

        Returns
        -------
        all : (K,) float64
            From all regions.
        others : (P, K) float64
            For each region, from those of the other groups: to measure how far counts
            are off that had no part in it.
        """
        names, rows = self._numbered_groups()
        others = [
            self._only(rows != group)._correction(gains) for group in range(len(names))
        ]
        table = np.reshape(others, (-1, self._n_classes))
        return self._correction(gains), table[rows]

    def _correction(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        truth, found = self._arrays()
        objects, counted = truth.sum(0), (found * gains).sum(0)
        known = (objects > 0) & (counted > 0)
        objects, counted = np.where(known, (objects, counted), 1.0)
        ratio = objects / counted
        error = self.error(held=True, gains=gains * ratio)
        groups = max(1, len(set(self._groups)))
        noise = error.scatter / objects + error.bias**2 / groups
        share = np.where(known, _APART**2 / (_APART**2 + noise), 0.0)
        return np.asarray(1 + share * (ratio - 1), np.float64)

    def _only(self, chosen: NDArray[np.bool_]) -> CountPairs:
        """Return some of the regions."""
        some = CountPairs(self._n_classes)
        for row in np.flatnonzero(chosen).tolist():
            some.add(self._truth[row], self._found[row], self._groups[row])
        return some

    def error(
        self, *, held: bool, gains: NDArray[np.float64] | float = 1.0
    ) -> CountError:
        """Fit the variance of counts.

        Parameters
        ----------
        held : bool
            Whether the regions were held out.
        gains : (K,) or (P, K) float64, or float
            What counts are multiplied by before; the same for all regions, or not.

        Returns
        -------
        CountError
            The scatter from single regions, the bias from what whole groups differ by
            more than that (method of moments).
        """
        truth, found = self._arrays()
        found = found * gains
        if not len(truth):
            return CountError(scatter=_USUAL)
        squares = ((found - truth) ** 2).sum()
        objects = np.maximum(truth, 1).sum()
        scatter = (squares + _USUAL * _WEIGHT) / (objects + _WEIGHT)
        names, rows = self._numbered_groups()
        sums = np.zeros((2, len(names), self._n_classes))
        np.add.at(sums[0], rows, truth)
        np.add.at(sums[1], rows, found)
        excess = ((sums[1] - sums[0]) ** 2 - scatter * sums[0]).sum()
        bias = np.sqrt(max(0.0, excess) / max((sums[0] ** 2).sum(), 1.0))
        return CountError(
            scatter=float(scatter), bias=float(bias), regions=len(truth) if held else 0
        )

    def _numbered_groups(self) -> tuple[dict[Hashable, int], NDArray[np.intp]]:
        """Return the numbers of the groups, and that of each region, (P,)."""
        names = {g: i for i, g in enumerate(dict.fromkeys(self._groups))}
        return names, np.array([names[g] for g in self._groups], np.intp)

    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = (-1, self._n_classes)
        truth = np.asarray(self._truth, np.float64).reshape(shape)
        return truth, np.asarray(self._found, np.float64).reshape(shape)
