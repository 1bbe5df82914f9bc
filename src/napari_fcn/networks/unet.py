"""The U-Net in 2D and 3D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fcn.networks.blocks import CONV, POOL, UP_CONV, ConvBlock, CoverageChannel

if TYPE_CHECKING:
    from napari_fcn.config import NetworkConfig


class UNet(nn.Module):
    """A padded U-Net (Ronneberger et al. 2015; Çiçek et al. 2016 for 3D).

    Against the published network: convolutions are padded, so that the output has
    the size of the input; batch normalisation; a configurable width and depth; and
    a channel of ones that tells the network where the image ends.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, width, depth, batch norm and skip connections.

    Notes
    -----
    Each spatial size of the input must be a multiple of the total stride,
    2 ** depth along axes that every level pools.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim, depth = config.ndim, config.depth
        channels = [config.width * 2**level for level in range(depth + 1)]
        kernels = [self._along(level, 3, 1) for level in range(depth + 1)]
        strides = [self._along(level, 2, 1) for level in range(depth)]
        inputs = [config.in_channels + 1, *channels[:-1]]
        self.coverage = CoverageChannel()
        self.encoder = nn.ModuleList(
            ConvBlock(i, o, k, batch_norm=config.batch_norm)
            for i, o, k in zip(inputs, channels, kernels, strict=True)
        )
        self.pool = nn.ModuleList(POOL[ndim](s) for s in strides)
        self.up = nn.ModuleList(
            UP_CONV[ndim](lower, upper, stride, stride)  # type: ignore[arg-type]
            for upper, lower, stride in zip(
                channels[:-1], channels[1:], strides, strict=True
            )
        )
        joined = 2 if config.skips else 1
        self.decoder = nn.ModuleList(
            ConvBlock(joined * c, c, k, batch_norm=config.batch_norm)
            for c, k in zip(channels[:-1], kernels[:-1], strict=True)
        )
        self.head = CONV[ndim](config.width, config.out_channels, 1)

    def _along(self, level: int, value: int, flat: int) -> tuple[int, ...]:
        """Return `value` per axis, but `flat` along the first on flat levels."""
        first = flat if level < self.config.flat_levels else value
        return (first,) + (value,) * (self.config.ndim - 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        features = self.encoder[0](self.coverage(image))
        kept = []
        for pool, block in zip(self.pool, self.encoder[1:], strict=True):
            kept.append(features)
            features = block(pool(features))
        for level in reversed(range(len(kept))):
            features = self.up[level](features)
            if self.config.skips:
                features = torch.cat([kept[level], features], dim=1)
            features = self.decoder[level](features)
        logits: torch.Tensor = self.head(features)
        return logits
