"""Tasks of few strokes: classes of a scene, strokes on one image, the truth on two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from benchmarks.strokes.annotator import careful_strokes

from pretraining.scenes import make_image, plan_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Random = np.random.Generator

IMAGES = 2
_FEWEST = 0.01
"""Share of the pixels that the smallest class of a task has at least."""
_AS_WANTED = 0.85
_THIRD_CLASS = 0.25
_SHARES = (0.003, 0.04)
"""Of the pixels that are painted, spread evenly in their logarithm."""


@dataclass(frozen=True)
class Episode:
    """A task of few strokes.

    Attributes
    ----------
    images : (2, 3, Y, X) uint8
        Of one style; normalised by percentiles as the package does it.
    truth : (2, Y, X) uint8
        Classes from 1.
    strokes : (Y, X) uint8
        What is painted on the first image; 0 elsewhere.
    """

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    strokes: NDArray[np.uint8]


def make_episode(edge: int, random: Random) -> Episode:
    """Return a task on images of a new style."""
    while True:
        style = plan_style(random)
        made = [make_image(style, (edge, edge), random) for _ in range(IMAGES)]
        parts = np.stack([parts for _, parts in made])
        truth = _classes(parts, style.wanted, random)
        counts = np.bincount(truth[0].ravel(), minlength=truth.max() + 1)[1:]
        if len(counts) > 1 and counts.min() >= _FEWEST * edge * edge:
            break
    share = float(np.exp(random.uniform(*np.log(_SHARES))))
    strokes = careful_strokes(truth[0], share, random)
    images = np.stack([_normalised(image) for image, _ in made])
    return Episode(images, truth, strokes)


def _classes(
    parts: NDArray[np.uint8], wanted: Sequence[set[int]], random: Random
) -> NDArray[np.uint8]:
    """Make some parts the objects, all else background: mostly what people want."""
    there = [int(part) for part in random.permutation(np.unique(parts))]
    truth = np.ones_like(parts)
    if wanted and random.random() < _AS_WANTED:
        objects = wanted[random.integers(len(wanted))]
        truth[np.isin(parts, list(objects))] = 2
        others = [w for w in wanted if not w & objects]
        if others and random.random() < _THIRD_CLASS:
            other = others[random.integers(len(others))]
            truth[np.isin(parts, list(other))] = 3
        return truth
    if len(there) < 2:
        return truth
    if len(there) > 2 and random.random() < _THIRD_CLASS:
        number = int(random.integers(2, min(3, len(there) - 1) + 1))
        for value, part in enumerate(there[:number], 2):
            truth[parts == part] = value
        return truth
    joined = 2 if len(there) > 2 and random.random() < 0.25 else 1
    truth[np.isin(parts, there[:joined])] = 2
    return truth


def _normalised(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bring percentiles of each channel to 0 and 1, stored as 32 to 160."""
    low, high = np.percentile(image, (1, 99.5), axis=(1, 2), keepdims=True)
    scaled = (image - low) / np.maximum(high - low, 1e-6)
    return np.clip(32 + 128 * scaled, 0, 255).round().astype(np.uint8)


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """Return stored images as the network sees them, float32."""
    return (torch.from_numpy(images).float() - 32) / 128


def make_bank(number: int, edge: int, seed: int) -> list[Episode]:
    """Return many tasks; the same ones for the same arguments."""
    return [make_episode(edge, np.random.default_rng([seed, n])) for n in range(number)]


def stack(episodes: Sequence[Episode]) -> tuple[torch.Tensor, ...]:
    """Return images (N, 2, 3, Y, X), truth (N, 2, Y, X) and strokes (N, Y, X)."""
    return (
        to_tensor(np.stack([e.images for e in episodes])),
        torch.from_numpy(np.stack([e.truth for e in episodes])).long(),
        torch.from_numpy(np.stack([e.strokes for e in episodes])).long(),
    )
