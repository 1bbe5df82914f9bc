"""Scenes: several things on top of each other, in a look that images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pretraining.geometry import KINDS, blobs, cells, regions, spots, threads
from pretraining.rendering import plan_look, render
from pretraining.sights import SIGHTS, Style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Random = np.random.Generator

_PARTS_PER_LAYER = 2
_COMMON = 0.75
"""Share of the styles that are of a common kind."""


def plan_style(random: Random) -> Style:
    """Draw a style: most of them are common sights, the others anything."""
    if random.random() < _COMMON:
        return SIGHTS[random.integers(len(SIGHTS))](random)
    return _anything(random)


def _anything(random: Random) -> Style:
    """Put any kinds of things on each other, in any colours."""
    common = (
        (cells, blobs),
        (cells, blobs, spots),
        (blobs,),
        (regions, blobs),
        (blobs, blobs),
        (threads,),
        (threads, spots),
        (cells,),
        (regions,),
        (blobs, spots),
    )
    if random.random() < 0.6:
        kinds = common[random.integers(len(common))]
    else:
        number = random.integers(1, 4)
        kinds = tuple(KINDS[i] for i in random.integers(0, len(KINDS), number))
    inside = [n > 0 and random.random() < 0.5 for n in range(len(kinds))]
    look = plan_look(1 + _PARTS_PER_LAYER * len(kinds), random)
    return Style([kind(random) for kind in kinds], inside, look, [])


def make_image(
    style: Style, shape: tuple[int, int], random: Random
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return an image (3, Y, X) in a style, and which part each pixel is (Y, X).

    Part 0 is the ground; those of layer n are 2n + 1 and 2n + 2.
    """
    parts = np.zeros(shape, np.uint8)
    objects = np.zeros(shape, np.int32)
    for n, (draw, inside) in enumerate(zip(style.draws, style.inside, strict=True)):
        layer = draw(shape, random)
        shown = layer.parts > 0
        if inside:
            shown &= parts % _PARTS_PER_LAYER == 1
        parts[shown] = layer.parts[shown] + _PARTS_PER_LAYER * n
        objects[shown] = layer.objects[shown] + int(objects.max())
    return render(parts, objects, style.look, random), parts
