"""The peers: random forests on fixed filters, as scikit-image and as ilastik has them.

ilastik itself is no Python package. What stands for it here are the filters and scales
of its pixel classification (Berg et al. 2019), computed by scipy and scikit-image, and
a forest of as many trees, grown to the end: indicative, not ilastik's own numbers.
"""

from __future__ import annotations

import os
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.feature import (
    hessian_matrix_eigvals,
    multiscale_basic_features,
    structure_tensor_eigenvalues,
)
from skimage.future import fit_segmenter, predict_segmenter
from sklearn.ensemble import RandomForestClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SMOOTHEST = 0.3
SCALES = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
"""Standard deviations in pixels; on the smoothest one there is only the image."""
_NARROWER = 0.66


class Peer(NamedTuple):
    """A way to classify pixels.

    Attributes
    ----------
    name : str
        As in the tables.
    features : callable
        Maps an image, and whether its last axis is colour, to (*spatial, F) float32.
    deepest : int, optional
        Levels of the trees.
    """

    name: str
    features: Callable[..., NDArray[np.float32]]
    deepest: int | None


def basic_features(image: NDArray[Any], *, colour: bool = False) -> NDArray[np.float32]:
    """Return scikit-image's features with its default scales, (*spatial, F)."""
    found = multiscale_basic_features(
        image, channel_axis=-1 if colour else None, sigma_max=16
    )
    return np.asarray(found, np.float32)


def ilastik_features(
    image: NDArray[Any], *, colour: bool = False
) -> NDArray[np.float32]:
    """Return all filters that ilastik offers on all its scales, (*spatial, F)."""
    channels = np.moveaxis(image, -1, 0) if colour else image[np.newaxis]
    found = [f for channel in channels for f in _filters(channel.astype(np.float32))]
    return np.stack(found, -1)


def _filters(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return colour, edge and texture of one channel."""
    found = [ndimage.gaussian_filter(image, SMOOTHEST)]
    for sigma in SCALES:
        smooth = ndimage.gaussian_filter(image, sigma)
        found += [
            smooth,
            ndimage.gaussian_laplace(image, sigma),
            ndimage.gaussian_gradient_magnitude(image, sigma),
            smooth - ndimage.gaussian_filter(image, _NARROWER * sigma),
            *structure_tensor_eigenvalues(_structure(image, sigma)),
            *hessian_matrix_eigvals(_hessian(image, sigma)),
        ]
    return [np.asarray(f, np.float32) for f in found]


def _structure(image: NDArray[np.float32], sigma: float) -> list[NDArray[np.float32]]:
    """Return the products of the slopes, smoothed by half as much again."""
    slopes = [
        ndimage.gaussian_filter(image, sigma, order)
        for order in np.eye(image.ndim, dtype=int)
    ]
    return [
        ndimage.gaussian_filter(a * b, sigma / 2)
        for a, b in combinations_with_replacement(slopes, 2)
    ]


def _hessian(image: NDArray[np.float32], sigma: float) -> list[NDArray[np.float32]]:
    """Return the second derivatives, the upper triangle row by row."""
    axes = np.eye(image.ndim, dtype=int)
    return [
        ndimage.gaussian_filter(image, sigma, a + b)
        for a, b in combinations_with_replacement(axes, 2)
    ]


PEERS = (
    Peer("forest", basic_features, 10),
    Peer("ilastik's filters", ilastik_features, None),
)


def fit(
    painted: Sequence[NDArray[np.uint8]],
    seen: Sequence[NDArray[np.float32]],
    seed: int,
    deepest: int | None,
) -> RandomForestClassifier:
    """Fit a forest to painted pixels (0 is not painted) of one or more images."""
    forest = RandomForestClassifier(
        n_estimators=100, max_depth=deepest, n_jobs=os.cpu_count(), random_state=seed
    )
    labels = np.concatenate([p.ravel() for p in painted])
    table = np.concatenate([f.reshape(-1, f.shape[-1]) for f in seen])
    return fit_segmenter(labels, table, forest)


def predict(
    forest: RandomForestClassifier, seen: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the likeliest class of each pixel, (*spatial)."""
    return np.asarray(predict_segmenter(seen, forest), np.uint8)
