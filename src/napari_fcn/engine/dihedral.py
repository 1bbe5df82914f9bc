"""Flips and quarter turns: variations that change no intensity at all.

Where a network shall put out intensities, or learn what noise is, crops must not be
interpolated: that would smooth them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from napari_fcn.config import AugmentationConfig


def vary_exactly(
    values: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Mirror each sample along its axes, and turn it in the plane, at random.

    Parameters
    ----------
    values : Tensor
        (N, C, *spatial); image and target joined, so that both go the same way.
    config : AugmentationConfig
        Whether to flip and to rotate; quarter turns need square crops.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        Same shape and dtype.
    """
    samples = []
    square = values.shape[-1] == values.shape[-2]
    for sample in values:
        draws = torch.rand(sample.ndim, generator=generator) < 0.5
        if config.flip:
            axes = [a for a in range(1, sample.ndim) if draws[a]]
            sample = sample.flip(axes)
        if config.rotate and square and draws[0]:
            sample = sample.transpose(-1, -2).flip(-1)
        samples.append(sample)
    return torch.stack(samples)


def vary_both_exactly(
    image: Tensor,
    target: Tensor,
    config: AugmentationConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Let images (N, C, *spatial) and targets (N, K, *spatial) go the same way."""
    joined = vary_exactly(torch.cat([image, target], 1), config, generator)
    return joined[:, : image.shape[1]], joined[:, image.shape[1] :]
