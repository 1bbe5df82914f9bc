"""Features that a network has learned on photographs, and a classifier of them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import load
from torch import Tensor, nn

from napari_fcn.networks.blocks import for_channels
from napari_fcn.networks.filter_features import FilterFeatures
from napari_fcn.networks.resizing import made_of
from napari_fcn.networks.scaled_head import ScaledHead

if TYPE_CHECKING:
    from napari_fcn.config import NetworkConfig

_FILE = "photographs.safetensors"
PHOTOGRAPHS = "photographs."
"""What the names of these layers begin with in a U-Net."""
PHOTO_SHARE = 1 / 3
"""What these features say, in the mean with what a network has learned itself."""
_MEAN, _DEVIATION = 127 / 255, 128 / 255
"""What was taken from photographs, scaled to 0 .. 1, and what they were divided by."""


class _Stage(NamedTuple):
    """One inverted bottleneck.

    Attributes
    ----------
    channels : int
        After it.
    kernel, stride : int
        Of the convolution of each channel by itself.
    widen : int
        How many times as many channels that convolution sees.
    level : int or None
        How often the image was halved, where the outcome is one of the features.
    """

    channels: int
    kernel: int
    stride: int
    widen: int
    level: int | None = None


_STEM = 32
_STAGES = (
    _Stage(16, 3, 1, 1, level=1),
    _Stage(24, 3, 2, 6),
    _Stage(24, 3, 1, 6, level=2),
    _Stage(40, 5, 2, 6),
    _Stage(40, 5, 1, 6, level=3),
    _Stage(80, 3, 2, 6),
    _Stage(80, 3, 1, 6),
    _Stage(80, 3, 1, 6, level=4),
    _Stage(112, 5, 1, 6, level=4),
)
"""EfficientNet-Lite0 as far as it sees hardly more than a U-Net with two sizes."""


class PhotoFeatures(nn.Module):
    """The first layers of EfficientNet-Lite0, which has learned to name photographs.

    Tan & Le 2019, "EfficientNet: Rethinking model scaling for convolutional neural
    networks", in the form without squeeze-and-excitation; learned on ImageNet. Its
    batch normalisation is part of the convolutions. Training never changes it.

    Parameters
    ----------
    channels : int
        Of the image; as colours they take turns in being red, green and blue.
    others : int
        Channels after those that are not of the image, such as coordinates. They are
        not looked at.

    Attributes
    ----------
    sizes : tuple of (int, int)
        Of each feature map how often it was halved, and its channels.
    """

    sizes = ((1, _STEM), *((s.level, s.channels) for s in _STAGES if s.level))

    def __init__(self, channels: int, others: int = 0) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_window(channels + others, _STEM, 3, 2), nn.ReLU6(inplace=True)
        )
        before = (_STEM, *(stage.channels for stage in _STAGES))
        self.stages = nn.ModuleList(map(InvertedBottleneck, before, _STAGES))
        self.requires_grad_(False)
        self._load(channels, others)

    def _load(self, channels: int, others: int) -> None:
        learned = dict(_learned())
        learned["0.weight"] = for_channels(learned["0.weight"], channels, others)
        kernels = (m for m in self.modules() if isinstance(m, nn.Conv2d))
        for number, kernel in enumerate(kernels):
            for name, tensor in kernel.named_parameters():
                tensor.copy_(learned[f"{number}.{name}"])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map an image (N, C, Y, X), about 0 to 1, to feature maps as in `sizes`."""
        features = self.stem((image - _MEAN) / _DEVIATION)
        found = [features]
        for block, stage in zip(self.stages, _STAGES, strict=True):
            features = block(features)
            if stage.level is not None:
                found.append(features)
        return found


class PhotoClassifier(nn.Module):
    """A linear classifier of `PhotoFeatures`; training never changes it.

    Where few pixels are painted, two classifiers that err differently are together
    better than each. Before it is solved it prefers no class.

    Parameters
    ----------
    config : NetworkConfig
        Channels of the image and of the output, and whether it is a classifier of
        `FilterFeatures`, too.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        coordinates = config.input_channels - config.in_channels
        self.features = PhotoFeatures(config.in_channels, coordinates)
        sizes = PhotoFeatures.sizes
        self.filters: FilterFeatures | None = None
        if config.filter_features:
            self.filters = FilterFeatures(config.in_channels)
            sizes = (*sizes, FilterFeatures.size)
        self.head = ScaledHead(2, sizes, config.out_channels)
        self.requires_grad_(False)
        for weights in self.head.parameters():
            nn.init.zeros_(weights)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (N, C, Y, X), about 0 to 1, to logits (N, K, Y, X)."""
        seen: list[Tensor] = self.features(image)
        if self.filters is not None:
            seen = [*seen, self.filters(image)]
        logits: Tensor = self.head(seen)
        return logits

    def set_weights(self, weight: Tensor, bias: Tensor) -> None:
        """Classify by these weights (K, D) and biases (K,) from now on."""
        own = {"weight": weight.view_as(self.head.weight), "bias": bias}
        self.head.load_state_dict(own)

    def seen_at(self, image: Tensor, pixels: Tensor) -> Tensor:
        """Return what it is a linear classifier of at some pixels.

        Parameters
        ----------
        image : Tensor
            float32 (N, C, Y, X).
        pixels : Tensor
            int64 (P,), places in the flattened image.

        Returns
        -------
        Tensor
            float32 (N, P, D).
        """
        # all is coarser than the image: little of it is needed for a few pixels
        coarse: list[Tensor] = self.features(image)
        if self.filters is not None:
            coarse = [*coarse, self.filters.respond(image)]
        joined = self.head.join(coarse, level=1)
        places, shares = made_of(pixels, *joined.shape[2:])
        needed, which = places.unique(return_inverse=True)
        seen = joined.flatten(2)[..., needed]
        if self.filters is not None:
            photographs = seen.shape[1] - coarse[-1].shape[1]
            mixed = self.filters.mix(seen[:, photographs:, None])[:, :, 0]
            seen = torch.cat([seen[:, :photographs], mixed], 1)
        return (seen[..., which] * shares[:, None]).sum(2).mT


def photo_classifier(network: nn.Module) -> PhotoClassifier | None:
    """Return what a network has of features learned on photographs, if anything."""
    found = getattr(network, "photographs", None)
    return found if isinstance(found, PhotoClassifier) else None


class InvertedBottleneck(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input if it fits.

    Sandler et al. 2018, "MobileNetV2: Inverted residuals and linear bottlenecks",
    table 1.

    Parameters
    ----------
    before : int
        Channels of the input.
    stage : _Stage
        What becomes of them.
    """

    def __init__(self, before: int, stage: _Stage) -> None:
        super().__init__()
        wide = before * stage.widen
        widened = [nn.Conv2d(before, wide, 1), nn.ReLU6(inplace=True)]
        self.body = nn.Sequential(
            *(widened if stage.widen > 1 else []),
            *_window(wide, wide, stage.kernel, stage.stride, groups=wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, stage.channels, 1),
        )
        self.added = before == stage.channels and stage.stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, before, Y, X) to (N, channels, Y / stride, X / stride)."""
        found: Tensor = self.body(features)
        return features + found if self.added else found


def _window(
    before: int, after: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    """Return a padded convolution, with the border that it was learned with.

    Of an odd kernel that halves an image, one row of zeros less lies before the image
    than after it.
    """
    half = kernel // 2
    if stride == 1:
        return [nn.Conv2d(before, after, kernel, padding=half, groups=groups)]
    return [
        nn.ZeroPad2d((half - 1, half, half - 1, half)),
        nn.Conv2d(before, after, kernel, stride, groups=groups),
    ]


@cache
def _learned() -> dict[str, Tensor]:
    """Return weight and bias of each convolution, in the order of the network."""
    file = resources.files("napari_fcn") / "weights" / _FILE
    return {name: tensor.float() for name, tensor in load(file.read_bytes()).items()}
