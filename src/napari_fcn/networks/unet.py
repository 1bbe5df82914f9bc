"""The U-Net in 2D and 3D, with the variants that have proved themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import (
    CONV,
    POOL,
    UNPOOL,
    UP_CONV,
    ConvBlock,
    CoverageChannel,
    ResidualBlock,
)
from napari_fcn.networks.photo_features import PHOTO_SHARE, PhotoClassifier
from napari_fcn.networks.resizing import Replication, halving
from napari_fcn.networks.scaled_head import ScaledHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config import NetworkConfig


class UNet(AnySize):
    """A padded U-Net (Ronneberger et al. 2015; Çiçek et al. 2016 for 3D).

    Against the published network: convolutions are padded, so that the output has
    the size of the input; batch normalisation; a configurable width and depth; and
    a channel of ones that tells the network where the image ends.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, width, depth, batch norm, skip connections, and how to
        go down and up: ``down``, ``up``, ``residual``, ``deep_supervision``; and
        ``scales``, ``photo_features`` and ``filter_features`` (2D).

    Notes
    -----
    The total stride is 2 ** depth along axes that every level pools, and twice as much
    for each scale after the first; with photographs at least 16.

    With several scales the same weights see the image as it is, at half its size, and
    so on; the last layer sees the features of all of them in the size of the image
    (`ScaledHead`; Farabet et al. 2013, "Learning hierarchical features for scene
    labeling"). Volumes are halved in the plane only.

    With photographs, what it predicts is a weighted mean of its own logits and those of
    a `PhotoClassifier`. It learns by itself, as if that were not there.

    With deep supervision (Lee et al. 2015, "Deeply-supervised nets"; Dou et al. 2016
    in 3D) each coarser level of the decoder has a head of its own. While training,
    and only then, the network returns a tuple: its logits, then those of the coarser
    levels, finest first, replicated to the size of the image.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim, depth = config.ndim, config.depth
        channels = [config.width * 2**level for level in range(depth + 1)]
        kernels = [self._along(level, 3, 1) for level in range(depth + 1)]
        strides = [self._along(level, 2, 1) for level in range(depth)]
        inputs = [config.input_channels + 1, *channels[:-1]]
        block = ResidualBlock if config.residual else ConvBlock
        self.coverage = CoverageChannel()
        self.encoder = nn.ModuleList(
            block(i, o, k, batch_norm=config.batch_norm)
            for i, o, k in zip(inputs, channels, kernels, strict=True)
        )
        self.pool = nn.ModuleList(
            self._down(c, s) for c, s in zip(channels[:-1], strides, strict=True)
        )
        self.up = nn.ModuleList(
            self._up(lower, upper, stride)
            for upper, lower, stride in zip(
                channels[:-1], channels[1:], strides, strict=True
            )
        )
        joined = 2 if config.skips else 1
        self.decoder = nn.ModuleList(
            block(joined * c, c, k, batch_norm=config.batch_norm)
            for c, k in zip(channels[:-1], kernels[:-1], strict=True)
        )
        self.scales = config.scales or 1
        self.halve = halving(ndim)
        sizes = [(scale, config.width) for scale in range(self.scales)]
        self.head = (
            ScaledHead(ndim, sizes, config.out_channels)
            if self.scales > 1
            else CONV[ndim](config.width, config.out_channels, 1)
        )
        coarser = channels[1:-1] if config.deep_supervision else []
        self.auxiliary = nn.ModuleList(
            self._auxiliary_head(c, strides[: level + 1])
            for level, c in enumerate(coarser)
        )
        wanted = config.photo_features and ndim == 2
        self.photographs = PhotoClassifier(config) if wanted else None

    def _along(self, level: int, value: int, flat: int) -> tuple[int, ...]:
        """Return `value` per axis, but `flat` along the first on flat levels."""
        first = flat if level < self.config.flat_levels else value
        return (first,) + (value,) * (self.config.ndim - 1)

    def _down(self, channels: int, stride: tuple[int, ...]) -> nn.Module:
        ndim = self.config.ndim
        if self.config.down == "stride":
            return CONV[ndim](channels, channels, stride, stride)  # type: ignore[arg-type]
        indices = self.config.up == "indices"
        return POOL[ndim](stride, return_indices=indices)

    def _up(self, lower: int, upper: int, stride: tuple[int, ...]) -> nn.Module:
        ndim = self.config.ndim
        if self.config.up == "transpose":
            return UP_CONV[ndim](lower, upper, stride, stride)  # type: ignore[arg-type]
        if self.config.up == "nearest":
            return Replication(lower, upper, stride)
        return Unpooling(lower, upper, stride)

    def _auxiliary_head(
        self, channels: int, strides: Sequence[tuple[int, ...]]
    ) -> nn.Module:
        factor = tuple(2 ** along.count(2) for along in zip(*strides, strict=True))
        return nn.Sequential(
            CONV[self.config.ndim](channels, self.config.out_channels, 1),
            nn.Upsample(scale_factor=factor),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        levels = self._levels(image)
        logits = self._classified(levels[-1], image)
        if self.training and self.auxiliary:
            coarser = zip(self.auxiliary, levels[-2::-1], strict=True)
            return (logits, *(head(features) for head, features in coarser))
        if self.training or self.photographs is None:
            return logits
        # not lerp: on a GPU in mixed precision the two may differ in dtype
        return logits + PHOTO_SHARE * (self.photographs(image) - logits)

    def learned(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image to logits by what was learned here, without photographs."""
        return self._classified(self._levels(image)[-1], image)

    def _classified(self, finest: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of an image whose finest features are known."""
        features = [finest]
        for _ in range(1, self.scales):
            image = self.halve(image)
            features.append(self._levels(image)[-1])
        logits: torch.Tensor = self.head(features if self.scales > 1 else finest)
        return logits

    def _levels(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of the decoder's levels, finest last."""
        features = self.encoder[0](self.coverage(image))
        kept = []
        maxima = []
        for pool, block in zip(self.pool, self.encoder[1:], strict=True):
            kept.append(features)
            smaller = pool(features)
            if self.config.up == "indices":
                maxima.append(smaller[1])
                smaller = smaller[0]
            features = block(smaller)
        levels = [] if kept else [features]
        for level in reversed(range(len(kept))):
            features = self.up[level](features, *maxima[level : level + 1])
            if self.config.skips:
                features = torch.cat([kept[level], features], dim=1)
            features = self.decoder[level](features)
            levels.append(features)
        return levels


class Unpooling(nn.Module):
    """Put features back to where the maxima were; zeros elsewhere.

    Badrinarayanan et al. 2015, "SegNet", section 3. A 1x1 convolution first gives
    the features as many channels as were pooled.

    Parameters
    ----------
    lower, upper : int
        Channels before and after.
    stride : sequence of int
        That of the pooling.
    """

    def __init__(self, lower: int, upper: int, stride: Sequence[int]) -> None:
        super().__init__()
        ndim = len(stride)
        self.reduce = CONV[ndim](lower, upper, 1)
        self.unpool = UNPOOL[ndim](tuple(stride))  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor, maxima: torch.Tensor) -> torch.Tensor:
        """Map (N, lower, ...) and the pooling's indices to (N, upper, ...)."""
        result: torch.Tensor = self.unpool(self.reduce(features), maxima)
        return result
