"""Where a network is unsure, and where a stroke would teach it most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def uncertainty(logits: torch.Tensor) -> NDArray[np.float32]:
    """Return how unsure a network is of each pixel.

    The entropy of the class probabilities (Shannon 1948), as used for choosing what to
    annotate next (Settles 2009, section 3.1), divided by its greatest value.

    Parameters
    ----------
    logits : (C, ...) tensor
        As the network gives them, for two or more classes.

    Returns
    -------
    (...) float32
        0 where it is sure, 1 where all classes are as likely; 0 where there are none.
    """
    if len(logits) < 2:  # densities and images have no probabilities
        return np.zeros(logits.shape[1:], np.float32)
    logarithms = logits.float().log_softmax(0)
    entropy = -(logarithms.exp() * logarithms).sum(0) / math.log(len(logits))
    found: NDArray[np.float32] = entropy.clamp(0, 1).cpu().numpy()
    return found


def most_useful(
    doubt: NDArray[np.float32], painted: NDArray[np.bool_], reach: int
) -> tuple[float, tuple[int, ...]]:
    """Return the place around which a network is most unsure and nothing is painted.

    Single unsure pixels lie on every border and teach little; so the mean over an area
    counts, and what lies near strokes counts not at all.

    Parameters
    ----------
    doubt : (...) float32
        From `uncertainty`.
    painted : (...) bool
        Where annotation is.
    reach : int
        Edge of the area, and how far from strokes is near, in pixels.

    Returns
    -------
    float
        Mean uncertainty around the place; 0 if all is painted.
    tuple of int
        The place.
    """
    free = doubt.copy()
    if painted.any():
        free[ndimage.distance_transform_edt(~painted) <= reach / 2] = 0
    mean = ndimage.uniform_filter(free, reach, mode="constant")
    mean[free == 0] = 0  # the place itself must not be painted
    place = np.unravel_index(int(mean.argmax()), mean.shape)
    return float(mean[place]), tuple(int(p) for p in place)
