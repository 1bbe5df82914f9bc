"""A simulated person who paints strokes on an image whose truth is known.

The *careful* kind paints short strokes of every class in turn, inside of the objects
and off their borders. The *corrective* kind looks at a prediction and paints over its
largest errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 2.0
"""How far from a border people keep, in pixels, where the object is wide enough."""
BRUSH = 2
"""Radius of the brush in pixels."""
STEPS = 40
"""Length of a stroke in pixels, if there is room."""
_TURN = 0.35
_LOOKS = np.array([0.0, -1.0, 1.0, -2.0, 2.0]) * _TURN


def careful_strokes(
    truth: NDArray[np.uint8], share: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Paint until a share of the pixels is covered, the classes in turn.

    Parameters
    ----------
    truth : (Y, X) uint8
        Classes from 1; 0 is never painted.
    share : float
        Of the pixels of the plane.
    random : numpy.random.Generator
        Decides where.

    Returns
    -------
    (Y, X) uint8
        The truth where painted, 0 elsewhere.
    """
    painted = np.zeros_like(truth)
    values = [int(v) for v in np.unique(truth) if v]
    depths = {v: ndimage.distance_transform_edt(_framed(truth == v)) for v in values}
    depths = {v: depth[1:-1, 1:-1] for v, depth in depths.items()}
    wanted = share * truth.size
    for turn in range(10_000):
        left = wanted - np.count_nonzero(painted)
        if left <= 0 and turn >= len(values):
            break
        value = values[turn % len(values)]
        free = np.where(painted == 0, depths[value], 0)
        limit = max(left, wanted / 10) if turn >= len(values) else wanted
        _stroke(painted, value, free, depths[value], random, limit)
    return painted


def corrective_strokes(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.integer],
    painted: NDArray[np.uint8],
    number: int,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """Paint over the largest errors of a prediction, each with one stroke.

    Parameters
    ----------
    truth : (Y, X) uint8
        Classes from 1; 0 is never painted.
    predicted : (Y, X) integers
        Classes as in the truth.
    painted : (Y, X) uint8
        What was painted before; kept.
    number : int
        Strokes to add.
    random : numpy.random.Generator
        Decides where in an error a stroke begins.

    Returns
    -------
    (Y, X) uint8
        The old and the new strokes.
    """
    painted = painted.copy()
    wrong = (predicted != truth) & (truth > 0)
    for _ in range(number):
        regions, count = ndimage.label(wrong & (painted == 0))
        if not count:
            break
        sizes = np.bincount(regions.ravel())[1:]
        inside = regions == 1 + int(sizes.argmax())
        value = int(np.bincount(truth[inside]).argmax())
        same = truth == value
        depth = ndimage.distance_transform_edt(_framed(same))[1:-1, 1:-1]
        before = np.count_nonzero(painted)
        _stroke(painted, value, np.where(inside, depth, 0), depth, random, np.inf)
        wrong &= ~inside
        if np.count_nonzero(painted) == before:
            break
    return painted


def _framed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Continue the plane beyond its edge: that is no border of an object."""
    return np.pad(mask, 1, mode="edge")


def _stroke(
    painted: NDArray[np.uint8],
    value: int,
    start: NDArray[np.floating],
    depth: NDArray[np.floating],
    random: np.random.Generator,
    limit: float,
) -> None:
    """Walk along the middle of an object, painting what lies inside it.

    It begins where `start` is deep enough and goes where `depth` lets it.
    """
    margin = min(MARGIN, 0.7 * float(start.max()))
    places = np.argwhere((start >= margin) & (start > 0))
    if not len(places):
        return
    position = places[random.integers(len(places))].astype(float)
    angle = random.uniform(0, 2 * np.pi)
    edge = np.array(depth.shape)
    done = 0
    for _ in range(STEPS):
        y, x = position.round().astype(int)
        done += _dab(painted, value, depth, (int(y), int(x)))
        angle, position = _next(depth, position, angle, random)
        outside = (position < 0).any() or (position.round() >= edge).any()
        if done >= limit or outside:
            break
        y, x = position.round().astype(int)
        if depth[y, x] < min(margin, 1.0):
            break


def _next(
    depth: NDArray[np.floating],
    position: NDArray[np.floating],
    angle: float,
    random: np.random.Generator,
) -> tuple[float, NDArray[np.floating]]:
    """Go on about straight, turning to where the object is wider."""
    angles = angle + _LOOKS + random.normal(0, 0.1)
    ahead = np.stack([np.sin(angles), np.cos(angles)], 1)
    seen = (position + 3 * ahead).round().astype(int)
    seen = np.clip(seen, 0, np.array(depth.shape) - 1)
    room = np.minimum(depth[tuple(seen.T)], 4.0) - 0.3 * np.abs(_LOOKS)
    best = int(room.argmax())
    return float(angles[best]), position + ahead[best]


def _dab(
    painted: NDArray[np.uint8],
    value: int,
    depth: NDArray[np.floating],
    centre: tuple[int, int],
) -> int:
    """Press the brush once, no wider than the object is; returns the new pixels."""
    reach = int(np.clip(depth[centre] - 1, 0, BRUSH))
    box = tuple(
        slice(max(0, c - reach), min(c + reach + 1, edge))
        for c, edge in zip(centre, depth.shape, strict=True)
    )
    rows, columns = np.ogrid[box]
    disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= reach**2
    new = disc & (depth[box] > 0) & (painted[box] == 0)
    painted[box][new] = value
    return int(new.sum())
