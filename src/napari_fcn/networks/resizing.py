"""Making images and features smaller and larger, without weights or with few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from napari_fcn.networks.blocks import CONV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.networks.reach import Reaches

_MODES = {2: "bilinear", 3: "trilinear"}


class Halving(nn.Module):
    """Mean over blocks of two by two pixels; of a volume, in the plane only.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimensions.
    """

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.strides = _in_plane(ndim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (N, C, ..., 2 Y, 2 X) to (N, C, ..., Y, X)."""
        pool = F.avg_pool3d if len(self.strides) == 3 else F.avg_pool2d
        return pool(image, self.strides)

    def carry(self, reaches: Reaches) -> Reaches:
        """Return what a pixel of the output depends on."""
        steps = zip(reaches, self.strides, strict=True)
        return tuple(r.window(s, s, 0, 1) for r, s in steps)


class Interpolation(nn.Module):
    """Makes features twice as large by linear interpolation; of a volume, in the plane.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimensions.
    """

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.factors = _in_plane(ndim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (N, C, ..., Y, X) to (N, C, ..., 2 Y, 2 X)."""
        factors = tuple(float(f) for f in self.factors)
        mode = _MODES[len(factors)]
        return F.interpolate(features, scale_factor=factors, mode=mode)

    def carry(self, reaches: Reaches) -> Reaches:
        """Return what a pixel of the output depends on: on two, as if spread by 4."""
        steps = zip(reaches, self.factors, strict=True)
        return tuple(r.spread(2 * f, f, f // 2) if f > 1 else r for r, f in steps)


class Replication(nn.Sequential):
    """Up-sampling by repeating each pixel, then a convolution.

    Odena et al. 2016, "Deconvolution and checkerboard artifacts": every output pixel
    is made by the same number of weights, unlike with overlapping transposed ones.

    Parameters
    ----------
    lower, upper : int
        Channels before and after.
    factor : sequence of int
        How often to repeat, per spatial axis.
    """

    def __init__(self, lower: int, upper: int, factor: Sequence[int]) -> None:
        kernel = tuple(3 if f > 1 else 1 for f in factor)
        padding = tuple(k // 2 for k in kernel)
        super().__init__(
            nn.Upsample(scale_factor=tuple(float(f) for f in factor)),
            CONV[len(kernel)](lower, upper, kernel, padding=padding),  # type: ignore[arg-type]
        )


def _in_plane(ndim: int) -> tuple[int, ...]:
    """Return 2 for the axes of a plane, 1 for what is before them."""
    return (1,) * (ndim - 2) + (2, 2)
