"""Fixed filters that are long and narrow, for lines such as membranes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from napari_fcn.networks.each_channel import EachChannel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fcn.networks.reach import Reaches

_KINDS, _DIRECTIONS = 2, 8
_REACH = 2.5
"""Deviations along the line at which a filter ends."""


class LineFilters(nn.Module):
    """The largest and the smallest response of long filters over eight directions.

    Of each channel: brightness averaged along a line, and curvature across it. What is
    round, such as a vesicle, has the curvature of a membrane in a small filter, but not
    in one that is longer than it is (Varma & Zisserman 2005, "A statistical approach to
    texture classification from single images", whose maxima over directions these are).

    Parameters
    ----------
    across, along : float
        Standard deviations of the Gaussian, in pixels.
    """

    def __init__(self, across: float, along: float) -> None:
        super().__init__()
        self.turn = EachChannel(_long_kernels(across, along))
        self.extremes = _Extremes()

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C, Y, X) to (N, 4 C, Y, X).

        Largest and smallest mean of all channels, then largest and smallest curvature.
        """
        found: Tensor = self.extremes(self.turn(image))
        return found


class _Extremes(nn.Module):
    """Largest and smallest of what `_DIRECTIONS` filters of each kind found."""

    def forward(self, found: Tensor) -> Tensor:
        """Map (N, C * kinds * directions, Y, X) to (N, 2 * kinds * C, Y, X)."""
        by_kind = found.unflatten(1, (-1, _KINDS, _DIRECTIONS)).transpose(1, 2)
        extremes = torch.stack([by_kind.amax(3), by_kind.amin(3)], 2)
        return extremes.flatten(1, 3)

    def carry(self, reaches: Reaches) -> Reaches:
        """Look no further than the pixel itself."""
        return reaches


def _long_kernels(across: float, along: float) -> NDArray[np.float32]:
    """Return float32 (16, K, K): Gaussians in all directions, then curvatures across.

    They are exact where they matter: a Gaussian has the sum 1; across a valley of the
    curvature 1 the second finds the square of `across` (normalised as in
    `FilterFeatures`), and nothing where an image is constant or a ramp.
    """
    reach = round(_REACH * along)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    smooth, curved = [], []
    for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        length = x * np.cos(angle) + y * np.sin(angle)
        width = y * np.cos(angle) - x * np.sin(angle)
        bell = np.exp(-((length / along) ** 2 + (width / across) ** 2) / 2)
        bell /= bell.sum()
        second = (width**2 - (bell * width**2).sum()) * bell
        second *= 2 * across**2 / (second * width**2).sum()
        smooth.append(bell)
        curved.append(second)
    return np.array(smooth + curved, np.float32)
