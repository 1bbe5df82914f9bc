"""Losses of predicted images; what is not trusted influences neither value nor slope.

An output is (N, K, *spatial), floating point, the target float32 (N, K, *spatial) of
about 0 to 1, and `seen` float32 (N, 1, *spatial): 1 where it is trusted, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_fcn.config import BLIND_SPOT, HETEROSCEDASTIC
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    ImageLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

SSIM_WIDTH = 1.5
"""Standard deviation in pixels of the window (Wang et al. 2004, section III-B)."""
_SSIM_RADIUS = 5
_C1, _C2 = 0.01**2, 0.03**2
LOG_VARIANCE = 10.0
"""Largest logarithm of a variance that is learned, and its lowest below 0."""


def absolute(output: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Mean absolute error, a scalar; its best answer is the median."""
    return _mean((output - target).abs(), seen)


def squared(output: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Mean squared error, a scalar; its best answer is the mean."""
    return _mean((output - target) ** 2, seen)


def structural(output: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """One minus the mean structural similarity (Wang et al. 2004, eq. 13), a scalar.

    The window's statistics are of the trusted pixels in it alone.
    """
    weight = _smooth(seen).clamp(min=1e-6)

    def average(values: Tensor) -> Tensor:
        return _smooth(values * seen) / weight

    x, y = output * seen, target * seen
    mean_x, mean_y = average(x), average(y)
    var_x = average(x * x) - mean_x**2
    var_y = average(y * y) - mean_y**2
    covariance = average(x * y) - mean_x * mean_y
    similarity = (
        (2 * mean_x * mean_y + _C1)
        * (2 * covariance + _C2)
        / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))
    )
    return _mean(1 - similarity, seen)


def heteroscedastic(output: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Negative logarithm of a Gaussian whose variance is learned, too, a scalar.

    Nix & Weigend 1994, "Estimating the mean and variance of the target probability
    distribution". The output has twice as many channels as the target: means first,
    then logarithms of variances.
    """
    mean, log_variance = output.chunk(2, dim=1)
    log_variance = log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)
    error = (mean - target) ** 2 * (-log_variance).exp()
    return _mean(0.5 * (error + log_variance), seen)


LOSSES: dict[str, ImageLoss] = {
    "l1": absolute,
    "l2": squared,
    "ssim": structural,
    HETEROSCEDASTIC: heteroscedastic,
    BLIND_SPOT: squared,
}
"""The losses by name; sums of those that need no more channels, such as ``l1+ssim``."""


@dataclass(frozen=True)
class SumOfImageLosses:
    """A sum of losses of predicted images.

    Attributes
    ----------
    names : tuple of str
        Keys of `LOSSES`.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> SumOfImageLosses:
        """Find a loss by name; raises `UserError` if there is none."""
        names = tuple(part.strip() for part in name.split("+"))
        alone = {HETEROSCEDASTIC, BLIND_SPOT} & set(names)
        if not set(names) <= set(LOSSES) or (alone and len(names) > 1):
            raise UserError(
                f"There is no loss called '{name}' for images: choose among "
                f"{', '.join(LOSSES)}, or l1+ssim or l2+ssim."
            )
        return cls(names)

    @property
    def spread(self) -> bool:
        """Whether the network needs channels for the variance."""
        return HETEROSCEDASTIC in self.names

    @property
    def blind(self) -> bool:
        """Whether it is learned from the image itself, without a target."""
        return BLIND_SPOT in self.names

    def __call__(
        self, output: Tensor | tuple[Tensor, ...], target: Tensor, seen: Tensor
    ) -> Tensor:
        """Add up the terms; of several outputs each counts half as the one before."""
        if isinstance(output, tuple):
            shares = [2.0**-level for level in range(len(output))]
            losses = [
                s * self(x, target, seen) for s, x in zip(shares, output, strict=True)
            ]
            return torch.stack(losses).sum() / sum(shares)
        values = output.float()
        terms = [LOSSES[name](values, target, seen) for name in self.names]
        return torch.stack(terms).sum()


def _mean(error: Tensor, seen: Tensor) -> Tensor:
    # where, not a product: what is not trusted may hold anything
    kept = torch.where(seen > 0, error, 0)
    return kept.sum() / (seen.sum() * error.shape[1]).clamp(min=1)


def _smooth(values: Tensor) -> Tensor:
    """Weighted sum over a Gaussian window; nothing beyond the borders."""
    offsets = torch.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1, device=values.device)
    line = (-0.5 * (offsets / SSIM_WIDTH) ** 2).exp()
    line = line / line.sum()
    ndim, channels = values.ndim - 2, values.shape[1]
    convolve = F.conv2d if ndim == 2 else F.conv3d
    for axis in range(ndim):
        shape = [1] * ndim
        shape[axis] = len(line)
        kernel = line.view(1, 1, *shape).expand(channels, 1, *shape)
        padding = [n // 2 for n in shape]
        values = convolve(values, kernel, padding=padding, groups=channels)
    return values
