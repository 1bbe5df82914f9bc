"""Denoising without clean images: predict a pixel from its neighbours only.

Krull, Buchholz & Jug 2019, "Noise2Void - learning denoising from single noisy images",
section 3.4: some pixels of the input are replaced by one of their neighbours each, and
the network learns their original values. Noise that is independent from pixel to pixel
cannot be learned in this way, so what it learns is the signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.02
"""Share of the pixels that are hidden."""
RADIUS = 2
"""How far away, along each axis, the neighbour is that takes a pixel's place."""


def hide_pixels(
    image: Tensor, generator: torch.Generator, share: float = SHARE
) -> tuple[Tensor, Tensor]:
    """Replace some pixels by a random neighbour.

    Parameters
    ----------
    image : Tensor
        float32 (N, C, *spatial); all channels of a pixel are hidden together.
    generator : torch.Generator
        On the CPU.
    share : float
        Share of the pixels to hide.

    Returns
    -------
    image : Tensor
        A copy with the pixels replaced.
    hidden : Tensor
        float32 (N, 1, *spatial), 1 where a pixel was replaced, else 0.
    """
    n, spatial = len(image), image.shape[2:]
    hidden = torch.rand((n, *spatial), generator=generator) < share
    places = hidden.nonzero()
    offsets = torch.randint(
        -RADIUS, RADIUS + 1, (len(places), len(spatial)), generator=generator
    )
    # a pixel must not stand in for itself
    offsets[(offsets == 0).all(1), -1] = 1
    sources = places.clone()
    for axis, size in enumerate(spatial):
        moved = places[:, axis + 1] + offsets[:, axis]
        # beyond the border, the other way; in images too thin for that, to the border
        turned = torch.where(
            (moved < 0) | (moved >= size), places[:, axis + 1] - offsets[:, axis], moved
        )
        sources[:, axis + 1] = turned.clamp(0, size - 1)
    places, sources = places.to(image.device), sources.to(image.device)
    result = image.movedim(1, -1).clone()
    result[tuple(places.T)] = result[tuple(sources.T)]
    return result.movedim(-1, 1), hidden.unsqueeze(1).to(image)
