"""Sample data: a real microscopy image, a generated stack, and strokes for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def tissue() -> NDArray[np.uint8]:
    """Return a stained tissue section, (512, 512, 3) uint8, that scikit-image ships.

    Colon tissue, immunohistochemical staining with haematoxylin counterstain: brown
    where the antibody FHL2 has bound, blue nuclei.
    """
    from skimage.data import immunohistochemistry

    image: NDArray[np.uint8] = immunohistochemistry()
    return image


def tissue_truth() -> NDArray[np.uint8]:
    """Return which pixels of `tissue` are brown: 2, and 1 elsewhere, (512, 512).

    By colour deconvolution (Ruifrok & Johnston 2001) and Otsu's threshold; a stand-in
    for what an annotator would paint.
    """
    from skimage.color import rgb2hed
    from skimage.filters import gaussian, threshold_otsu

    stain = gaussian(rgb2hed(tissue())[..., 2], 1.5)
    return np.where(stain > threshold_otsu(stain), 2, 1).astype(np.uint8)


def blobs(
    slices: int = 8, size: int = 256, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Generate a stack of noisy cells with the truth.

    Parameters
    ----------
    slices, size : int
        The stack has shape (slices, size, size).
    seed : int
        Another seed gives other cells.

    Returns
    -------
    image : (slices, size, size) uint8
        Textured cells with a darker nucleus each, uneven light and noise.
    truth : (slices, size, size) uint8
        1 background, 2 cell, 3 nucleus.
    """
    random = np.random.default_rng(seed)
    grid = np.mgrid[:slices, :size, :size].astype(np.float32)
    truth = np.ones((slices, size, size), np.uint8)
    for _ in range(max(1, slices * size * size // 12_000)):
        centre = random.uniform(0, (slices, size, size))
        radii = random.uniform((1.5, 9, 9), (3.5, 18, 18))
        parts = [((grid[a] - centre[a]) / radii[a]) ** 2 for a in range(3)]
        distance = parts[0] + parts[1] + parts[2]
        truth[(distance < 1) & (truth == 1)] = 2
        truth[(distance < 0.2) & (truth == 2)] = 3
    level = np.array([0.0, 60.0, 150.0, 100.0])[truth]
    texture = ndimage.gaussian_filter(random.normal(0, 1, truth.shape), (0.5, 2, 2))
    level += 60 * texture * (truth == 2)
    level *= 0.8 + 0.4 * grid[2] / size
    level = ndimage.gaussian_filter(level, (0, 1, 1)) + random.normal(0, 8, truth.shape)
    return np.clip(level, 0, 255).astype(np.uint8), truth


def strokes(
    truth: NDArray[np.uint8], number: int = 24, seed: int = 0, length: int = 30
) -> NDArray[np.uint8]:
    """Paint as a careful person would: short strokes, each within one class.

    Parameters
    ----------
    truth : (..., Y, X) uint8
        Classes from 1; 0 is never painted.
    number : int
        Strokes in each plane, shared equally by its classes; a class too small for
        the brush is given a dot.
    seed : int
        Another seed gives other strokes.
    length : int
        Steps of each stroke.

    Returns
    -------
    (..., Y, X) uint8
        The truth where painted, 0 elsewhere.
    """
    random = np.random.default_rng(seed)
    planes = truth.reshape(-1, *truth.shape[-2:])
    painted = np.zeros_like(planes)
    for plane, result in zip(planes, painted, strict=True):
        values = [v for v in np.unique(plane) if v]
        for turn in range(number if values else 0):
            inside = plane == values[turn % len(values)]
            _paint_stroke(inside, result, plane, random, length)
    return painted.reshape(truth.shape)


def _paint_stroke(
    inside: NDArray[np.bool_],
    result: NDArray[np.uint8],
    plane: NDArray[np.uint8],
    random: np.random.Generator,
    length: int,
) -> None:
    """Walk in a random direction from a random place, leaving out the borders."""
    core = ndimage.binary_erosion(inside, iterations=2)
    places = np.argwhere(core if core.any() else inside)
    first = places[random.integers(len(places))]
    result[tuple(first)] = plane[tuple(first)]
    position = first.astype(float)
    angle = random.uniform(0, 2 * np.pi)
    brush = np.mgrid[-2:3, -2:3].reshape(2, -1)
    brush = brush[:, (brush**2).sum(0) <= 4]
    for _ in range(length):
        y, x = np.clip(
            position.round().astype(int)[:, None] + brush,
            0,
            np.array(plane.shape)[:, None] - 1,
        )
        if not inside[y, x].all():
            break
        result[y, x] = plane[y, x]
        angle += random.normal(0, 0.2)
        position += (np.sin(angle), np.cos(angle))
        if (position < 0).any() or (position >= plane.shape).any():
            break
