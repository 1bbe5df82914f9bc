"""Mirrored borders, and the cropping that unpadded convolutions need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.networks.reach import Reaches


class Mirror(nn.Module):
    """Continue an image beyond its borders by reflection at its outermost pixels.

    The overlap-tile strategy of Ronneberger et al. 2015, section 2: an unpadded
    network then gives an output of the size of its input. An image smaller than the
    margin is reflected back and forth.

    Parameters
    ----------
    margin : sequence of int
        Pixels to add at both ends of each spatial axis.
    """

    def __init__(self, margin: Sequence[int]) -> None:
        super().__init__()
        self.margin = tuple(margin)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (N, C, size, ...) to (N, C, size + 2 * margin, ...)."""
        for axis, margin in enumerate(self.margin, start=2):
            if margin:
                index = mirrored(image.shape[axis], margin, image.device)
                image = image.index_select(axis, index)
        return image

    def carry(self, reaches: Reaches) -> Reaches:
        """Pass reaches on; a mirrored pixel is nearer than the one it stands for."""
        return tuple(r.shift(-m) for r, m in zip(reaches, self.margin, strict=True))


class Crop(nn.Module):
    """Cut pixels off both ends of each spatial axis.

    Parameters
    ----------
    margin : sequence of int
        How many, per spatial axis.
    """

    def __init__(self, margin: Sequence[int]) -> None:
        super().__init__()
        self.margin = tuple(margin)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (N, C, size, ...) to (N, C, size - 2 * margin, ...)."""
        for axis, margin in enumerate(self.margin, start=2):
            size = features.shape[axis] - 2 * margin
            features = features.narrow(axis, margin, size)
        return features

    def carry(self, reaches: Reaches) -> Reaches:
        """Pass reaches on."""
        return tuple(r.shift(m) for r, m in zip(reaches, self.margin, strict=True))


def mirrored(
    size: int, margin: int, device: torch.device | None = None
) -> torch.Tensor:
    """Return the indices, int64 (size + 2 * margin,), of a mirrored axis."""
    last = size - 1
    if last == 0:
        return torch.zeros(1 + 2 * margin, dtype=torch.int64, device=device)
    index = torch.arange(-margin, size + margin, device=device)
    return last - (last - index.remainder(2 * last)).abs()
