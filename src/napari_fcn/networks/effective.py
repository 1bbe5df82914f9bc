"""What a network really looks at: its effective receptive field.

Not every pixel of the receptive field counts the same. Luo et al. 2016,
"Understanding the effective receptive field in deep convolutional neural networks",
measure how much by the gradient of an output pixel with respect to the image, and
find a bell-shaped hill that is much smaller than the receptive field, and that
training makes larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

_THRESHOLD = 1 - 0.9545
"""Of the largest value, as in section 3.1 of Luo et al.: two standard deviations."""


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How much each pixel of the image counts for one output pixel.

    Attributes
    ----------
    weights : ndarray
        float64, spatial shape of the image, not negative, with sum 1 (or 0 if nothing
        counts).
    position : tuple of int
        The output pixel.
    """

    weights: NDArray[np.float64]
    position: tuple[int, ...]

    @property
    def size(self) -> float:
        """Edge in pixels of a box with as many pixels as count noticeably.

        These are the pixels above 4.55 % of the largest weight (Luo et al. 2016).
        """
        count = int((self.weights > _THRESHOLD * self.weights.max()).sum())
        return float(count ** (1 / self.weights.ndim))

    @property
    def spread(self) -> tuple[float, ...]:
        """Root mean square distance from the output pixel, per axis in pixels."""
        return tuple(
            float(np.sqrt((self._along(axis) * self._distance(axis) ** 2).sum()))
            for axis in range(self.weights.ndim)
        )

    def _along(self, axis: int) -> NDArray[np.float64]:
        others = tuple(a for a in range(self.weights.ndim) if a != axis)
        return np.asarray(self.weights.sum(others))

    def _distance(self, axis: int) -> NDArray[np.int64]:
        return np.arange(self.weights.shape[axis]) - self.position[axis]


def effective_field(
    network: nn.Module, images: Any, position: Sequence[int] | None = None
) -> EffectiveField:
    """Measure the effective receptive field by gradients.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; its weights are not changed.
    images : Tensor or ndarray
        float32 (N, C, ...), normalised as for prediction. The absolute gradients of
        all of them are averaged.
    position : sequence of int, optional
        The output pixel; the one in the middle by default.

    Returns
    -------
    EffectiveField
        Of the log-odds of the likeliest class against all others, or of the output
        itself if there is one channel only.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(mode=False), torch.enable_grad():
        batch = torch.as_tensor(images, dtype=torch.float32, device=device)
        batch = batch.detach().clone().requires_grad_()
        place = tuple(position or (size // 2 for size in batch.shape[2:]))
        logits = network(batch)[(slice(None), slice(None), *place)]
        (gradient,) = torch.autograd.grad(_log_odds(logits).sum(), batch)
    config = getattr(network, "config", None)
    seen = gradient[:, : config.in_channels if config else None]  # no coordinates
    weights = seen.abs().sum((0, 1)).double().cpu().numpy()
    return EffectiveField(weights / max(weights.sum(), 1e-300), place)


def _log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Of the likeliest class, (N,), from (N, K)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    ordered = logits.sort(dim=1, descending=True).values
    return ordered[:, 0] - ordered[:, 1:].logsumexp(1)
