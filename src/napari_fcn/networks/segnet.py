"""SegNet: a decoder that remembers where the maxima were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, POOL, UNPOOL, conv_layers
from napari_fcn.networks.vgg import (
    encoder_stages,
    stage_channels,
    stage_convolutions,
)

if TYPE_CHECKING:
    import torch

    from napari_fcn.config import NetworkConfig


class SegNet(AnySize):
    """The convolutions of VGG-16, and the same in reverse after unpooling.

    Badrinarayanan et al. 2015, "SegNet: a deep convolutional encoder-decoder
    architecture for image segmentation". Nothing but the positions of the maxima goes
    from a level of the encoder to the same level of the decoder. The published network
    has ``width`` 64, ``depth`` 5 and batch normalisation.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, ``width``, ``depth`` and batch norm.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim = config.ndim
        self.encoder = nn.ModuleList(encoder_stages(config))
        self.pool = POOL[ndim](2, return_indices=True)
        self.unpool = UNPOOL[ndim](2)
        channels = stage_channels(config)
        self.decoder = nn.ModuleList(
            nn.Sequential(*_decoder_stage(config, level))
            for level in range(len(channels))
        )
        last = channels[0] if channels else config.input_channels
        self.head = CONV[ndim](last, config.out_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        features = image
        maxima = []
        for stage in self.encoder:
            pooled = self.pool(stage(features))
            features = pooled[0]
            maxima.append(pooled[1])
        for level in reversed(range(len(maxima))):
            features = self.decoder[level](self.unpool(features, maxima[level]))
        logits: torch.Tensor = self.head(features)
        return logits


def _decoder_stage(config: NetworkConfig, level: int) -> list[nn.Module]:
    """Return the convolutions of a level; the head is the last one of level 0."""
    channels = stage_channels(config)
    here = channels[level]
    outputs = [here] * (stage_convolutions(config.depth)[level] - 1)
    if level > 0:
        outputs.append(channels[level - 1])
    layers: list[nn.Module] = []
    for width in outputs:
        layers += conv_layers(
            here, width, (3,) * config.ndim, batch_norm=config.batch_norm
        )
    return layers
