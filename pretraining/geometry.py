"""Where things are in a generated scene: cells, blobs, rods, rings, threads, regions.

Each function draws one kind of thing and returns a *layer*: an integer map whose values
tell the parts (0 leaves what lies below), and a map that tells single objects apart.
The parameters of a look are drawn once (`Style`), so that several images share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from pretraining.fields import bent_grid, oriented_noise, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Shape = tuple[int, int]
    Random = np.random.Generator

Range = tuple[float, float]


@dataclass(frozen=True)
class Layer:
    """Parts of one kind of thing.

    Attributes
    ----------
    parts : (Y, X) uint8
        0 where there is nothing, else which part of a thing it is.
    objects : (Y, X) int32
        Which object; 0 where there is nothing.
    """

    parts: NDArray[np.uint8]
    objects: NDArray[np.int32]


Draw = Callable[["Shape", "Random"], Layer]


def spread(low_and_high: Range, random: Random) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return float(np.exp(random.uniform(*np.log(low_and_high))))


def cells(
    random: Random,
    spacing_of: Range = (7, 40),
    width_of: Range = (1, 7),
    widest: float = 0.4,
) -> Draw:
    """Plan cells that fill the plane, with membranes between them.

    Voronoi regions on bent coordinates; neighbouring regions are merged, so that cells
    are of all sizes and forms. Parts: 1 inside, 2 membrane, whose width is at most
    `widest` of the cells' spacing.
    """
    spacing = spread(spacing_of, random)
    merge = random.uniform(1, 3.5) if random.random() < 0.6 else 1.0
    width = min(spread(width_of, random), widest * spacing)
    bend, smooth = random.uniform(0, 0.35) * spacing, random.uniform(3, 10)
    uneven = random.uniform(0, 0.5)
    stretch = random.uniform(0.5, 1.0)

    def draw(shape: Shape, random: Random) -> Layer:
        grid = bent_grid(shape, bend, smooth, random)
        grid = grid * np.array([stretch, 1], np.float32)[:, None, None]
        area = np.array([shape[0] * stretch, shape[1]]) + 2 * spacing
        number = max(3, int(area.prod() / spacing**2))
        seeds = random.uniform(-spacing, area - spacing, (number, 2))
        groups = random.integers(0, max(2, int(number / merge)), number)
        if merge > 1:
            coarse = seeds[: max(2, int(number / merge))]
            groups = cKDTree(coarse).query(seeds)[1]
        else:
            groups = np.arange(number)
        near = min(8, number)
        distance, index = cKDTree(seeds).query(grid.reshape(2, -1).T, near)
        mine = groups[index[:, :1]]
        other = np.where(groups[index] != mine, distance, np.inf).min(1)
        gap = np.minimum(other - distance[:, 0], 99).reshape(shape)
        thickness = width * (1 + uneven * smooth_noise(shape, 12, random))
        parts = np.where(gap < np.maximum(thickness, 0.8), 2, 1).astype(np.uint8)
        return Layer(parts, mine.reshape(shape).astype(np.int32) + 1)

    return draw


def blobs(
    random: Random,
    radius_of: Range = (2.5, 20),
    cover_of: Range = (0.06, 0.45),
    rims: float = 0.4,
) -> Draw:
    """Plan roundish things such as nuclei or organelles. Parts: 1 inside, 2 rim.

    `rims` is how probable it is that they have a rim.
    """
    radius = spread(radius_of, random)
    varied, ragged = random.uniform(0, 0.4), random.uniform(0, 0.22)
    longest = random.uniform(1, 2.6)
    cover = spread(cover_of, random)
    rim = random.uniform(0.08, 0.35) * radius if random.random() < rims else 0.0
    touching = random.random() < 0.5

    def draw(shape: Shape, random: Random) -> Layer:
        mean_area = np.pi * radius**2 * (1 + longest) / 2
        number = int(np.clip(cover * shape[0] * shape[1] / mean_area, 2, 250))
        depth = np.full(shape, -np.inf, np.float32)
        objects = np.zeros(shape, np.int32)
        for n in range(1, number + 1):
            size = radius * np.exp(varied * random.standard_normal())
            _ellipse(depth, objects, n, size, longest, ragged, touching, random)
        parts = np.where(depth > 0, 1, 0).astype(np.uint8)
        if rim:
            parts[(depth > 0) & (depth < max(rim, 1.0))] = 2
        return Layer(parts, np.where(depth > 0, objects, 0))

    return draw


def _ellipse(
    depth: NDArray[np.float32],
    objects: NDArray[np.int32],
    number: int,
    radius: float,
    longest: float,
    ragged: float,
    touching: bool,
    random: Random,
) -> None:
    """Draw one blob where its depth is the largest; in place."""
    shape = depth.shape
    centre = random.uniform(-0.3 * radius, np.array(shape) + 0.3 * radius)
    reach = radius * longest**0.5 * (1 + 3 * ragged) + 2
    low = np.clip((centre - reach).astype(int), 0, shape)
    high = np.clip((centre + reach).astype(int) + 1, 0, shape)
    if (high <= low).any():
        return
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    y, x = np.ogrid[box]
    angle = random.uniform(0, np.pi)
    ratio = np.sqrt(random.uniform(1, longest))
    u = ((x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)) / ratio
    v = ((y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)) * ratio
    around = np.arctan2(v, u)
    wave = sum(
        random.normal(0, ragged / k) * np.cos(k * around + random.uniform(0, 6.3))
        for k in (2, 3, 5)
    )
    inside = (radius * (1 + wave) - np.hypot(u, v)).astype(np.float32)
    old = depth[box]
    if not touching and (old[inside > -1.5] > 0).any():
        return
    wins = inside > old
    old[wins] = inside[wins]
    objects[box][wins & (inside > 0)] = number


def threads(random: Random, width_of: Range = (1.2, 7)) -> Draw:
    """Plan curves such as filaments, vessels or fibres. Parts: 1."""
    width = spread(width_of, random)
    number = int(random.uniform(3, 22) * min(1.0, 4 / width) + 2)
    turn = random.uniform(0.02, 0.22)
    taper = random.uniform(0, 0.6)
    direction = random.uniform(0, 2 * np.pi) if random.random() < 0.35 else None

    def draw(shape: Shape, random: Random) -> Layer:
        thickness = np.zeros(shape, np.float32)
        for _ in range(number):
            _curve(thickness, width, turn, taper, direction, random)
        distance, nearest = ndimage.distance_transform_edt(
            thickness == 0, return_indices=True
        )
        inside = distance < thickness[tuple(nearest)] / 2 + 0.3
        objects = ndimage.label(inside)[0]
        return Layer(inside.astype(np.uint8), objects.astype(np.int32))

    return draw


def _curve(
    thickness: NDArray[np.float32],
    width: float,
    turn: float,
    taper: float,
    direction: float | None,
    random: Random,
) -> None:
    """Walk along one curve and note its thickness on its middle line; in place."""
    steps = int(random.uniform(0.4, 2.2) * max(thickness.shape))
    start = random.uniform(0, np.array(thickness.shape))
    angle = random.uniform(0, 2 * np.pi) if direction is None else direction
    turns = ndimage.gaussian_filter1d(random.standard_normal(steps), 6) * turn * 3.5
    angles = angle + np.cumsum(turns) + random.normal(0, 0.15)
    y = (start[0] + np.cumsum(np.sin(angles))).round().astype(int)
    x = (start[1] + np.cumsum(np.cos(angles))).round().astype(int)
    keep = (y >= 0) & (x >= 0) & (y < thickness.shape[0]) & (x < thickness.shape[1])
    along = width * np.exp(random.normal(0, 0.25)) * np.linspace(1, 1 - taper, steps)
    thickness[y[keep], x[keep]] = np.maximum(along[keep], 1.0)


def regions(random: Random) -> Draw:
    """Plan large areas, such as kinds of tissue. Parts: 1, and on occasion 2."""
    sigma = random.uniform(7, 26)
    share = random.uniform(0.25, 0.65)
    second = random.random() < 0.35
    striped = random.random() < 0.25

    def draw(shape: Shape, random: Random) -> Layer:
        if striped:
            field = oriented_noise(shape, 2.5 * sigma, 0.5 * sigma, random)
        else:
            field = smooth_noise(shape, sigma, random)
            field = field + 0.25 * smooth_noise(shape, sigma / 4, random)
        parts = (field > np.quantile(field, 1 - share)).astype(np.uint8)
        if second:
            parts[field < np.quantile(field, (1 - share) / 2)] = 2
        return Layer(parts, ndimage.label(parts)[0].astype(np.int32))

    return draw


def spots(random: Random) -> Draw:
    """Plan many small dots. Parts: 1."""
    radius = random.uniform(1.0, 2.8)
    density = random.uniform(0.003, 0.012)

    def draw(shape: Shape, random: Random) -> Layer:
        number = max(3, int(density * shape[0] * shape[1] / radius))
        seeds = np.ones(shape, bool)
        places = random.integers(0, shape, (number, 2))
        seeds[tuple(places.T)] = False
        inside = ndimage.distance_transform_edt(seeds) <= radius
        return Layer(inside.astype(np.uint8), ndimage.label(inside)[0].astype(np.int32))

    return draw


KINDS = (cells, blobs, threads, regions, spots)
