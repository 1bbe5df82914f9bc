"""How well two partitions of an image into segments agree: V-Rand and V-Info.

These are the measures of the ISBI 2012 challenge on neuronal membranes after its
revision (Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image
segmentation algorithms for connectomics"). The truth's borders are left out, and the
prediction's borders are thinned first, so that their width does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PartitionScore:
    """Agreement of a predicted with a true partition, each between 0 and 1.

    Attributes
    ----------
    rand_split, rand_merge : float
        Probability that two random pixels are in one predicted segment if they are in
        one true segment, and the other way round: low if segments are split, or
        merged.
    info_split, info_merge : float
        The same by information: what the two partitions share, I(S; T), over the
        entropy of the predicted, and of the true one.
    """

    rand_split: float
    rand_merge: float
    info_split: float
    info_merge: float

    @property
    def v_rand(self) -> float:
        """F-score of the Rand split and merge scores (α = 1/2)."""
        return _harmonic(self.rand_split, self.rand_merge)

    @property
    def v_info(self) -> float:
        """F-score of the information split and merge scores (α = 1/2)."""
        return _harmonic(self.info_split, self.info_merge)


def compare_partitions(truth: NDArray[Any], predicted: NDArray[Any]) -> PartitionScore:
    """Compare two partitions where the truth has segments.

    Parameters
    ----------
    truth : ndarray
        Integers, any shape: a number for each segment, 0 for borders, which are left
        out.
    predicted : ndarray
        Integers, same shape. Each of its border pixels, 0, is a segment of its own.

    Returns
    -------
    PartitionScore
        All 1 if the truth has no segments.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {truth.shape} and {predicted.shape} differ")
    inside = truth > 0
    n = int(inside.sum())
    if n == 0:
        return PartitionScore(1.0, 1.0, 1.0, 1.0)
    own = np.arange(1, n + 1) + int(predicted.max(initial=0))
    segments = np.where(predicted[inside] > 0, predicted[inside], own)
    true_number = np.unique(truth[inside], return_inverse=True)[1]
    own_number = np.unique(segments, return_inverse=True)[1]
    pairs = true_number * (own_number.max() + 1) + own_number
    p, t, s = (_shares(x) for x in (pairs, true_number, own_number))
    joint = float((p**2).sum())
    shared = max(0.0, _entropy(t) + _entropy(s) - _entropy(p))
    return PartitionScore(
        rand_split=joint / float((t**2).sum()),
        rand_merge=joint / float((s**2).sum()),
        info_split=_part(shared, _entropy(s)),
        info_merge=_part(shared, _entropy(t)),
    )


def segments_between(borders: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give each region between borders a number, and thin the borders to one pixel.

    Regions grow, all at the same pace, until they meet; what remains between two of
    them is border. Borders that do not separate regions vanish.

    Parameters
    ----------
    borders : ndarray
        bool, 2D or 3D.

    Returns
    -------
    ndarray
        int32, same shape; 0 on borders. Pixels that touch along an axis are connected.
    """
    seeds = ndimage.label(~borders)[0]
    height = ndimage.distance_transform_edt(borders)
    return np.asarray(watershed(height, seeds, watershed_line=True), np.int32)


def compare_membranes(
    truth: NDArray[Any],
    probability: NDArray[Any],
    thresholds: Iterable[float] = tuple(np.arange(0.1, 1.0, 0.1)),
) -> tuple[PartitionScore, PartitionScore]:
    """Score predicted borders after thinning, at the best of several thresholds.

    Parameters
    ----------
    truth : ndarray
        bool, 2D or 3D: true inside cells, false on membranes.
    probability : ndarray
        Floating point, same shape: how likely each pixel is to be inside a cell.
    thresholds : iterable of float
        Pixels above are inside.

    Returns
    -------
    by_rand, by_info : PartitionScore
        At the threshold with the best V-Rand, and at that with the best V-Info.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    cells = ndimage.label(truth)[0]
    scores = [
        compare_partitions(cells, segments_between(probability <= threshold))
        for threshold in thresholds
    ]
    return max(scores, key=lambda s: s.v_rand), max(scores, key=lambda s: s.v_info)


def _shares(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the pixels (n,) that each different label has."""
    counts = np.unique(labels, return_counts=True)[1]
    return np.asarray(counts / labels.size)


def _entropy(shares: NDArray[np.float64]) -> float:
    return float(-(shares * np.log(shares)).sum())


def _part(shared: float, whole: float) -> float:
    """Part of the information that is shared; all of it if there is none."""
    return min(1.0, shared / whole) if whole > 0 else 1.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0
