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

    def error(
        self, *, held: bool, gains: NDArray[np.float64] | float = 1.0
    ) -> CountError:
        """Fit the variance of counts.

        Parameters
        ----------
        held : bool
            Whether the regions were held out.
        gains : (K,) float64 or float
            What counts are multiplied by before.

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
        names = {g: i for i, g in enumerate(dict.fromkeys(self._groups))}
        rows = [names[g] for g in self._groups]
        sums = np.zeros((2, len(names), self._n_classes))
        np.add.at(sums[0], rows, truth)
        np.add.at(sums[1], rows, found)
        excess = ((sums[1] - sums[0]) ** 2 - scatter * sums[0]).sum()
        bias = np.sqrt(max(0.0, excess) / max((sums[0] ** 2).sum(), 1.0))
        return CountError(
            scatter=float(scatter), bias=float(bias), regions=len(truth) if held else 0
        )

    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = (-1, self._n_classes)
        truth = np.asarray(self._truth, np.float64).reshape(shape)
        return truth, np.asarray(self._found, np.float64).reshape(shape)
