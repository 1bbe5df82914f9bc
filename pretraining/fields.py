"""Smooth random fields and bent coordinates, from which scenes are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Field = NDArray[np.float32]


def smooth_noise(
    shape: tuple[int, ...], sigma: float | Sequence[float], random: np.random.Generator
) -> Field:
    """Return Gaussian noise of a given correlation length, mean 0 and deviation 1.

    Parameters
    ----------
    shape : tuple of int
        Of the field.
    sigma : float or sequence of float
        Standard deviation of the smoothing in pixels, (per axis).
    random : numpy.random.Generator
        Source of randomness.
    """
    noise = random.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    smooth -= smooth.mean()
    return smooth / max(float(smooth.std()), 1e-6)


def oriented_noise(
    shape: tuple[int, int],
    along: float,
    across: float,
    random: np.random.Generator,
) -> Field:
    """Return noise that is smoother along a random direction than across it."""
    edge = int(1.5 * max(shape))
    noise = smooth_noise((edge, edge), (across, along), random)
    turned = ndimage.rotate(
        noise, random.uniform(0, 180), reshape=False, order=1, mode="wrap"
    )
    low = [(edge - s) // 2 for s in shape]
    field = turned[low[0] : low[0] + shape[0], low[1] : low[1] + shape[1]]
    return (field / max(float(field.std()), 1e-6)).astype(np.float32)


def bent_grid(
    shape: tuple[int, int],
    amplitude: float,
    sigma: float,
    random: np.random.Generator,
) -> Field:
    """Return the coordinates of each pixel, (2, Y, X), moved by smooth noise."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    moved = [smooth_noise(shape, sigma, random) * amplitude for _ in range(2)]
    return (grid + np.stack(moved)).astype(np.float32)
