"""The peer: scikit-image's trainable segmentation with a random forest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.feature import multiscale_basic_features
from skimage.future import fit_segmenter, predict_segmenter
from sklearn.ensemble import RandomForestClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def features(image: NDArray[Any], *, colour: bool = False) -> NDArray[np.float32]:
    """Return scikit-image's features with its default scales, (*spatial, F)."""
    found = multiscale_basic_features(
        image, channel_axis=-1 if colour else None, sigma_max=16
    )
    return np.asarray(found, np.float32)


def fit(
    painted: Sequence[NDArray[np.uint8]],
    seen: Sequence[NDArray[np.float32]],
    seed: int,
) -> RandomForestClassifier:
    """Fit a forest to painted pixels (0 is not painted) of one or more images."""
    forest = RandomForestClassifier(
        n_estimators=100, max_depth=10, n_jobs=os.cpu_count(), random_state=seed
    )
    labels = np.concatenate([p.ravel() for p in painted])
    table = np.concatenate([f.reshape(-1, f.shape[-1]) for f in seen])
    return fit_segmenter(labels, table, forest)


def predict(
    forest: RandomForestClassifier, seen: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the likeliest class of each pixel, (*spatial)."""
    return np.asarray(predict_segmenter(seen, forest), np.uint8)
