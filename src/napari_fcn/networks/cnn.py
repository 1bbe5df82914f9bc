"""The plain convolutional network: nothing but 3x3 convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, conv_layers

if TYPE_CHECKING:
    import torch

    from napari_fcn.config import NetworkConfig


class PlainCNN(AnySize):
    """Layers of 3x3 convolutions with d channels, nothing made smaller or larger.

    After Pang et al. 2010, "Cell nucleus segmentation in color histopathological
    imagery using convolutional networks". With n hidden layers of d channels it has,
    from one channel to one, (9 + 1) d + (n - 1) (9 d + 1) d + 9 d + 1 parameters and
    a receptive field of 1 + 2 (n + 1) pixels. Hidden units are ReLU.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, ``layers`` n, ``width`` d and batch norm.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (3,) * config.ndim
        layers: list[nn.Module] = []
        for channels in (config.input_channels, *[config.width] * (config.layers - 1)):
            layers += conv_layers(
                channels, config.width, kernel, batch_norm=config.batch_norm
            )
        self.hidden = nn.Sequential(*layers)
        self.head = CONV[config.ndim](config.width, config.out_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        logits: torch.Tensor = self.head(self.hidden(image))
        return logits
