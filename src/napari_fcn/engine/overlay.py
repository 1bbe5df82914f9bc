"""Crops laid over each other: crowded places that nobody has to dot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_GROUND = 0.1
"""The quantile of a crop's intensities that counts as empty."""


def lay_over(
    image: Tensor, target: Tensor, others: tuple[Tensor, Tensor], chosen: Tensor
) -> tuple[Tensor, Tensor]:
    """Add the objects of other crops to some crops, in the image and in the target.

    Where two objects emit light it adds up, as far as the range goes; where they absorb
    it, what one lets pass is weakened by the other (Beer's law). In both cases what is
    left to the end of the range is multiplied: 1 - (1 - a)(1 - b) for bright objects,
    a b for dark ones, once the ground of b is taken off. Which they are is read off the
    intensities under the density.

    Parameters
    ----------
    image : Tensor
        float32 (N, C, *spatial), normalised to about 0 to 1.
    target : Tensor
        float32 (N, K + 1, *spatial), densities, and 1 where they are known.
    others : tuple of Tensor
        What lies over them, image and target alike.
    chosen : Tensor
        bool (N,), which of them have another one laid over.

    Returns
    -------
    image, target : Tensor
        Of the same shapes; densities are added, and known where both are.
    """
    over, marked = others
    shape = (1, -1, *[1] * (image.ndim - 2))
    sign = _brighter(image, target).view(shape)
    a, b = (_bright(values, sign) for values in (image, over))
    ground = _low(b.flatten(2))
    risen = (b - ground.view(*ground.shape, *shape[2:])).clamp(min=0)
    both = _bright(a + risen * (1 - a.clamp(0, 1)), sign)
    density = target[:, :-1] + marked[:, :-1]
    known = torch.minimum(target[:, -1:], marked[:, -1:])
    pick = chosen.to(image.device).view(-1, *[1] * (image.ndim - 1))
    return (
        torch.where(pick, both, image),
        torch.where(pick, torch.cat([density, known], 1), target),
    )


def _low(values: Tensor) -> Tensor:
    """Return the intensity of empty places along the last axis, however long it is."""
    rank = round(_GROUND * (values.shape[-1] - 1))
    return values.sort(dim=-1).values[..., rank]


def _bright(values: Tensor, sign: Tensor) -> Tensor:
    """Return values turned round within 0 to 1 where objects are dark, and back."""
    return torch.where(sign, values, 1 - values)


def _brighter(image: Tensor, target: Tensor) -> Tensor:
    """Return bool (C,): whether objects are no darker than what is around them."""
    known = target[:, -1:]
    weight = target[:, :-1].sum(1, keepdim=True) * known
    axes = (0, *range(2, image.ndim))
    anywhere = (image * known).sum(axes) / known.sum().clamp(min=1)
    above = image - anywhere.view(1, -1, *[1] * (image.ndim - 2))
    return (above * weight).sum(axes) >= 0
