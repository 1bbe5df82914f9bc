"""Losses of density maps: pixel by pixel, and of the number of objects in blocks.

Densities are in units of the height of one Gaussian of the target, so that they are
about 1 in the middle of an object, whatever its width. What is not annotated is masked,
and can influence neither value nor gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

BLOCKS = (16, 64)
"""Edges in pixels of the blocks whose counts are compared."""
LOSSES = ("counts", "l1", "l2")
"""Names of the losses of density maps; sums such as ``l2+counts`` are losses, too."""


def densities(output: Tensor) -> Tensor:
    """Return densities, never below 0, for what the network puts out.

    Parameters
    ----------
    output : Tensor
        (N, K, *spatial) or (K, *spatial), floating point.

    Returns
    -------
    Tensor
        float32, same shape, in units of the target's peaks.
    """
    return F.softplus(output.float(), beta=4.0)


def pixel_error(density: Tensor, target: Tensor, seen: Tensor, power: int) -> Tensor:
    """Mean over annotated pixels and classes of |density - target|^power.

    Parameters
    ----------
    density, target : Tensor
        float32 (N, K, *spatial).
    seen : Tensor
        float32 (N, 1, *spatial), 1 where annotated, else 0.
    power : {1, 2}
        Of the difference.

    Returns
    -------
    Tensor
        Scalar; 0 where nothing is annotated.
    """
    error = ((density - target) * seen).abs() ** power
    return error.sum() / (seen.sum() * density.shape[1]).clamp(min=1)


def count_error(density: Tensor, target: Tensor, seen: Tensor, peaks: Tensor) -> Tensor:
    """Mean over blocks of the error of their counts, in standard deviations.

    A block with n objects counts with 1 / sqrt(n + 1), the scatter of a Poisson
    process; large errors count linearly (Huber 1964).

    Parameters
    ----------
    density, target, seen
        As in `pixel_error`.
    peaks : Tensor
        float32 (K,), objects per unit of density.

    Returns
    -------
    Tensor
        Scalar, the mean over the sizes of blocks in `BLOCKS`.
    """
    spatial = density.shape[2:]
    view = (-1,) + (1,) * len(spatial)
    error = (density - target) * seen * peaks.view(view)
    losses = []
    for edge in BLOCKS:
        edges = [min(edge, n) for n in spatial]
        wrong, there = _sums(error, edges), _sums(target * peaks.view(view), edges)
        known = _sums(seen, edges) > 0
        scaled = wrong / (there + 1).sqrt()
        loss = F.huber_loss(scaled, torch.zeros_like(scaled), reduction="none")
        losses.append((loss * known).sum() / (known.sum() * len(peaks)).clamp(min=1))
    return torch.stack(losses).mean()


def box_error(counts: Tensor, known: Tensor) -> Tensor:
    """Return the error of the counts of boxes, in standard deviations.

    Parameters
    ----------
    counts, known : Tensor
        float32, same shape: predicted and true; NaN where the truth is not known.

    Returns
    -------
    Tensor
        Scalar.
    """
    chosen = ~known.isnan()
    truth = torch.where(chosen, known, 0)
    scaled = torch.where(chosen, (counts - truth) / (truth + 1).sqrt(), 0)
    loss = F.huber_loss(scaled, torch.zeros_like(scaled), reduction="sum")
    return loss / chosen.sum().clamp(min=1)


def _sums(values: Tensor, edges: Sequence[int]) -> Tensor:
    """Sum over blocks; what is left over at the far borders is left out."""
    size = 1
    for edge in edges:
        size *= edge
    pool = F.avg_pool2d if len(edges) == 2 else F.avg_pool3d
    return pool(values, tuple(edges)) * size


@dataclass(frozen=True)
class DensityLoss:
    """A sum of losses of density maps.

    Attributes
    ----------
    names : tuple of str
        Among `LOSSES`.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> DensityLoss:
        """Find a loss by name; raises `UserError` if there is none."""
        names = tuple(part.strip() for part in name.split("+"))
        if not set(names) <= set(LOSSES):
            raise UserError(
                f"There is no loss called '{name}' for counting: choose among "
                f"{', '.join(LOSSES)}, or a sum of them such as l2+counts."
            )
        return cls(names)

    def __call__(
        self, density: Tensor, target: Tensor, seen: Tensor, peaks: Tensor
    ) -> Tensor:
        """Add up the terms; arguments as in `count_error`."""
        terms = []
        for name in self.names:
            if name == "counts":
                terms.append(0.1 * count_error(density, target, seen, peaks))
            else:
                terms.append(pixel_error(density, target, seen, int(name[1])))
        return torch.stack(terms).sum()
