"""FCN-32s, FCN-16s and FCN-8s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fcn.errors import UserError
from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, POOL, UP_CONV, conv_layers
from napari_fcn.networks.vgg import encoder_stages, stage_channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config import NetworkConfig

_SKIPS = {"fcn-32s": 0, "fcn-16s": 1, "fcn-8s": 2}
_WINDOW = {2: 7, 3: 3}


class FCN(AnySize):
    """A classification network made fully convolutional, and scores made larger.

    Long et al. 2015, "Fully convolutional networks for semantic segmentation": the
    convolutions of VGG-16, its fully connected layers as a 7x7 and a 1x1 convolution
    (64 times ``width`` channels), a score per class, and transposed convolutions
    that start as bilinear interpolation. FCN-16s and FCN-8s add scores of the fourth
    and the third pooling on the way up; ``skips`` off makes each an FCN-32s.

    Against the published network: each layer is padded to keep its size, in place of
    100 pixels around the image; batch normalisation, for it is trained from scratch;
    no dropout; transposed convolutions class by class, which is what bilinear ones
    are; 3x3x3 in place of 7x7x7 in 3D. VGG-16 itself has ``width`` 64.

    Parameters
    ----------
    config : NetworkConfig
        Name, dimension, channels, ``width``, ``depth`` (5), ``skips``, batch norm.

    Raises
    ------
    UserError
        If it is not deep enough for its skips.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        skips = _SKIPS[config.name] if config.skips else 0
        if config.depth < skips + 1:
            raise UserError(f"{config.name} needs a depth of {skips + 1} at least.")
        ndim, deep = config.ndim, 64 * config.width
        channels = stage_channels(config)
        self.stages = nn.ModuleList(encoder_stages(config))
        self.pool = POOL[ndim](2)
        window = (_WINDOW[ndim],) * ndim
        norm = config.batch_norm
        self.classifier = nn.Sequential(
            *conv_layers(channels[-1], deep, window, batch_norm=norm),
            *conv_layers(deep, deep, (1,) * ndim, batch_norm=norm),
        )
        scored = [deep, *channels[-2 : -2 - skips : -1]]
        self.head = ScoreHead(ndim, scored, config.out_channels, 2**config.depth)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        features = image
        pooled = []
        for stage in self.stages:
            features = self.pool(stage(features))
            pooled.append(features)
        coarse = self.classifier(features)
        logits: torch.Tensor = self.head(coarse, pooled[-2::-1])
        return logits


class ScoreHead(nn.Module):
    """Scores of several levels, enlarged and added from coarse to fine.

    The score layers start at zero, as in section 4.1 and 4.2 of Long et al. 2015. In
    each weight of the head the first axis is the class.

    Parameters
    ----------
    ndim : int
        Spatial dimension.
    channels : sequence of int
        Of the levels, coarsest first, each twice as fine as the one before.
    classes : int
        How many.
    stride : int
        Pixels of the image in one of the coarsest level.
    """

    def __init__(
        self, ndim: int, channels: Sequence[int], classes: int, stride: int
    ) -> None:
        super().__init__()
        self.scores = nn.ModuleList(CONV[ndim](c, classes, 1) for c in channels)
        for score in self.scores:
            for parameter in score.parameters():
                nn.init.zeros_(parameter)
        factors = [2] * (len(channels) - 1)
        factors.append(stride // 2 ** len(factors))
        self.up = nn.ModuleList(bilinear(ndim, classes, f) for f in factors)

    def forward(
        self, coarse: torch.Tensor, finer: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Map features of several levels to logits (N, classes, ...)."""
        logits: torch.Tensor = self.scores[0](coarse)
        for number, score in enumerate(self.scores[1:]):
            logits = self.up[number](logits) + score(finer[number])
        enlarged: torch.Tensor = self.up[-1](logits)
        return enlarged


def bilinear(ndim: int, channels: int, factor: int) -> nn.Module:
    """Return a transposed convolution that starts as bilinear interpolation.

    Its kernel of 2 * factor pixels is, along each axis, a triangle (Long et al. 2015,
    section 3.3); features enlarge channel by channel, without bias.

    Parameters
    ----------
    ndim : int
        Spatial dimension.
    channels : int
        Of the features.
    factor : int
        Even number of output pixels per input pixel and axis.
    """
    size = 2 * factor
    layer = UP_CONV[ndim](
        channels,
        channels,
        size,
        stride=factor,
        padding=factor // 2,
        groups=channels,
        bias=False,
    )
    # on the CPU, also where a description is only checked and tensors have no content
    place = torch.arange(size, device="cpu") - (size - 1) / 2
    triangle = 1 - place.abs() / factor
    kernel = torch.ones((), device="cpu")
    for _ in range(ndim):
        kernel = kernel[..., None] * triangle
    with torch.no_grad():
        layer.weight.copy_(kernel.expand_as(layer.weight))
    return layer
