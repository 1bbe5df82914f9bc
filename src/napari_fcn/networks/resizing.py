"""Making images and features smaller and larger, without weights or with few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fcn.networks.blocks import AVERAGE, CONV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_LINEAR = {2: "bilinear", 3: "trilinear"}


def halving(ndim: int) -> nn.Module:
    """Return a layer of means over two by two pixels; of a volume, in the plane only.

    It maps (N, C, ..., 2 Y, 2 X) to (N, C, ..., Y, X).
    """
    return AVERAGE[ndim](_in_plane(ndim))  # type: ignore[arg-type]


def doubling(ndim: int) -> nn.Module:
    """Return a layer of linear interpolation; of a volume, in the plane only.

    It maps (N, C, ..., Y, X) to (N, C, ..., 2 Y, 2 X).
    """
    factors = tuple(float(f) for f in _in_plane(ndim))
    return nn.Upsample(scale_factor=factors, mode=_LINEAR[ndim])


def made_of(pixels: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return of which smaller pixels `doubling` makes some pixels of a plane.

    Parameters
    ----------
    pixels : Tensor
        int64 (P,), places in the flattened plane of 2 Y by 2 X pixels.
    height, width : int
        Y and X, of the smaller plane.

    Returns
    -------
    places : Tensor
        int64 (4, P), in the flattened smaller plane.
    shares : Tensor
        float32 (4,), how much of a pixel comes from each of its places.
    """
    rows, columns = pixels // (2 * width), pixels % (2 * width)
    places, shares = [], []
    for near_y, y in ((0.75, rows // 2), (0.25, _beside(rows, height))):
        for near_x, x in ((0.75, columns // 2), (0.25, _beside(columns, width))):
            places.append(y * width + x)
            shares.append(near_y * near_x)
    return torch.stack(places), torch.tensor(shares, device=pixels.device)


def _beside(places: Tensor, edge: int) -> Tensor:
    """Return the second nearest of the smaller pixels, which end at the borders."""
    return ((places - 1) // 2 + places % 2).clamp(0, edge - 1)


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
