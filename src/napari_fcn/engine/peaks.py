"""Single objects out of a density map: its highest peaks, as many as were counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LOWEST = 0.1
"""Peaks lower than this, relative to the height of a single object, are noise."""


def find_peaks(
    density: NDArray[np.float32], widths: Sequence[float]
) -> NDArray[np.float64]:
    """Find the likeliest places of objects.

    There are as many as the density's integral says, rounded, if it has as many peaks.

    Parameters
    ----------
    density : (*spatial) float32
        Objects per pixel, of one class.
    widths : sequence of float
        Standard deviation in pixels of the Gaussian of an object, per axis.

    Returns
    -------
    (n, ndim) float64
        Pixel coordinates, the highest peak first.
    """
    from skimage.feature import peak_local_max

    height = 1.0
    for width in widths:
        height /= width * (2 * np.pi) ** 0.5
    wanted = round(float(density.sum()))
    if wanted < 1:
        return np.zeros((0, density.ndim))
    edges = [max(3, 2 * round(width) + 1) for width in widths]
    places = peak_local_max(
        density,
        threshold_abs=LOWEST * height,
        footprint=np.ones(edges, bool),
        exclude_border=False,
        num_peaks=wanted,
    )
    return np.asarray(places, np.float64)
