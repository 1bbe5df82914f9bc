"""The patch classifier, and its conversion to a fully convolutional network.

Cireşan et al. 2012, "Deep neural networks segment neuronal membranes in electron
microscopy images": a network with a fully connected end tells the class of the pixel
in the middle of a window, and the window slides over the image. Neighbouring windows
share nearly all of their computation. The converted network does it once: a fully
connected layer is a convolution as large as its input, and in place of throwing away
three of four pixels, pooling keeps all of them and the kernels that follow look at
every second one ("filter rarefaction", Long et al. 2015, section 3.1; Giusti et al.
2013, "Fast image scanning with deep max-pooling convolutional neural networks").
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, NORM, POOL
from napari_fcn.networks.borders import Mirror

if TYPE_CHECKING:
    from napari_fcn.config import NetworkConfig

_HIDDEN = 200
_LAST_MAP = 3


def _kernels(depth: int) -> list[int]:
    """Return the kernel of each convolution: those of the published network N4."""
    return [5 if level == 1 else 4 for level in range(depth)]


def window_size(depth: int) -> int:
    """Return the edge of the window of a classifier: 95 pixels for depth 4."""
    size = _LAST_MAP
    for kernel in reversed(_kernels(depth)):
        size = 2 * size + kernel - 1
    return size


class PatchClassifier(nn.Module):
    """Tells the class of the pixel in the middle of a window.

    ``depth`` times a convolution with ``width`` maps, ReLU and 2x2 pooling, then 200
    hidden units and one output per class. Depth 4 and width 48 are the published
    network N4 with its window of 95 x 95 pixels.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, ``width``, ``depth`` and batch norm.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim, width = config.ndim, config.width
        channels = [config.input_channels] + [width] * config.depth
        self.stages = nn.ModuleList(
            _stage(config, *pair, kernel, 1)
            for pair, kernel in zip(
                pairwise(channels), _kernels(config.depth), strict=True
            )
        )
        self.pool = POOL[ndim](2)
        self.hidden = nn.Linear(channels[-1] * _LAST_MAP**ndim, _HIDDEN)
        self.activation = nn.ReLU(inplace=True)
        self.head = nn.Linear(_HIDDEN, config.out_channels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Map windows (N, in_channels, window, ...) to logits (N, out_channels)."""
        features = windows
        for stage in self.stages:
            features = self.pool(stage(features))
        features = self.activation(self.hidden(features.flatten(1)))
        logits: torch.Tensor = self.head(features)
        return logits


class DensePatchNetwork(AnySize):
    """What a `PatchClassifier` says about every pixel, in one pass.

    It has the same weights under the same names; training it on the annotated pixels
    of a crop is training the classifier on the windows around them. The image is
    mirrored at its borders, so that each pixel has a window.

    Parameters
    ----------
    config : NetworkConfig
        As for `PatchClassifier`.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim, width = config.ndim, config.width
        channels = [config.input_channels] + [width] * config.depth
        spacings = [2**level for level in range(config.depth + 1)]
        parts = zip(
            pairwise(channels), _kernels(config.depth), spacings[:-1], strict=True
        )
        self.mirror = Mirror((window_size(config.depth) // 2,) * ndim)
        self.stages = nn.ModuleList(
            _stage(config, *pair, kernel, spacing) for pair, kernel, spacing in parts
        )
        self.pools = nn.ModuleList(
            POOL[ndim](2, stride=1, dilation=spacing) for spacing in spacings[:-1]
        )
        self.hidden = CONV[ndim](
            channels[-1], _HIDDEN, _LAST_MAP, dilation=spacings[-1]
        )
        self.activation = nn.ReLU(inplace=True)
        self.head = CONV[ndim](_HIDDEN, config.out_channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        features = self.mirror(image)
        for stage, pool in zip(self.stages, self.pools, strict=True):
            features = pool(stage(features))
        logits: torch.Tensor = self.head(self.activation(self.hidden(features)))
        return logits


def to_dense(classifier: PatchClassifier) -> DensePatchNetwork:
    """Convert a patch classifier to a fully convolutional network.

    Parameters
    ----------
    classifier : PatchClassifier
        Trained or not.

    Returns
    -------
    DensePatchNetwork
        With a copy of its weights, on the same device and in the same mode.
    """
    dense = DensePatchNetwork(classifier.config)
    shapes = {name: t.shape for name, t in dense.state_dict().items()}
    state = classifier.state_dict()
    dense.load_state_dict({n: t.reshape(shapes[n]) for n, t in state.items()})
    return dense.to(state["head.weight"].device).train(classifier.training)


def _stage(
    config: NetworkConfig, inputs: int, outputs: int, kernel: int, spacing: int
) -> nn.Sequential:
    """Convolution that looks at every `spacing`-th pixel, batch norm, ReLU."""
    ndim = config.ndim
    layers: list[nn.Module] = [CONV[ndim](inputs, outputs, kernel, dilation=spacing)]
    if config.batch_norm:
        layers.append(NORM[ndim](outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))
