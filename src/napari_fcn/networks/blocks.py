"""Building blocks that are written once for 2D and 3D."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


CONV: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}
POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {
    2: nn.MaxPool2d,
    3: nn.MaxPool3d,
}
AVERAGE: dict[int, type[nn.AvgPool2d] | type[nn.AvgPool3d]] = {
    2: nn.AvgPool2d,
    3: nn.AvgPool3d,
}
UNPOOL: dict[int, type[nn.MaxUnpool2d] | type[nn.MaxUnpool3d]] = {
    2: nn.MaxUnpool2d,
    3: nn.MaxUnpool3d,
}


def conv_layers(
    in_channels: int,
    out_channels: int,
    kernel: Sequence[int],
    *,
    batch_norm: bool,
    padded: bool = True,
) -> list[nn.Module]:
    """Return a convolution, batch normalisation (on request) and ReLU.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel : sequence of int
        Odd kernel size per spatial axis; its length gives the dimension.
    batch_norm : bool
        Whether batch normalisation (Ioffe & Szegedy 2015) follows the convolution.
    padded : bool
        Whether zeros around the features keep their size.
    """
    ndim = len(kernel)
    padding = tuple(k // 2 if padded else 0 for k in kernel)
    layers: list[nn.Module] = [
        CONV[ndim](
            in_channels,
            out_channels,
            tuple(kernel),  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            bias=not batch_norm,
        )
    ]
    if batch_norm:
        layers.append(NORM[ndim](out_channels))
    return [*layers, nn.ReLU(inplace=True)]


def for_channels(kernel: torch.Tensor, channels: int, others: int = 0) -> torch.Tensor:
    """Let a kernel see an image with other channels than it was learned for.

    Parameters
    ----------
    kernel : Tensor
        (O, I, Y, X).
    channels : int
        Of the image.
    others : int
        What enters after them and is not of the image, such as coordinates.

    Returns
    -------
    Tensor
        (O, channels + others, Y, X), for which the channels take turns in being what
        the kernel has learned: of red, green and blue, a fourth channel is red with the
        first. What several are, is their mean; what none is, that of all. So channels
        are told apart, and an image whose channels are all alike is grey. The others
        have no weight.
    """
    learned = kernel.shape[1]
    mixed = kernel.new_zeros(learned, channels + others)
    for own in range(learned):
        first, step = (own, learned) if own < channels else (0, 1)
        mixed[own, first:channels:step] = 1
    mixed /= mixed.sum(1, keepdim=True)
    return torch.einsum("oi...,ic->oc...", kernel, mixed)


def batch_norms(network: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    """Return the layers of batch normalisation of a network."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield module


class ConvBlock(nn.Sequential):
    """Two or more convolutions, each with batch norm (on request) and ReLU.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel : sequence of int
        Odd kernel size per spatial axis; its length gives the dimension.
    batch_norm : bool
        Whether batch normalisation (Ioffe & Szegedy 2015) follows each convolution.
    padded : bool
        Whether zeros around the features keep their size.
    convolutions : int
        How many.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sequence[int],
        *,
        batch_norm: bool,
        padded: bool = True,
        convolutions: int = 2,
    ) -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, *[out_channels] * (convolutions - 1)):
            layers += conv_layers(
                channels, out_channels, kernel, batch_norm=batch_norm, padded=padded
            )
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Two padded convolutions whose output is added to the input, then ReLU.

    He et al. 2016, "Deep residual learning for image recognition", fig. 2 and eq. 2:
    where the channels change, the input passes through a 1x1 convolution.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel : sequence of int
        Odd kernel size per spatial axis; its length gives the dimension.
    batch_norm : bool
        Whether batch normalisation (Ioffe & Szegedy 2015) follows each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sequence[int],
        *,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        block = ConvBlock(in_channels, out_channels, kernel, batch_norm=batch_norm)
        self.body = nn.Sequential(*list(block)[:-1])
        same = in_channels == out_channels
        self.shortcut = (
            nn.Identity()
            if same
            else CONV[len(kernel)](in_channels, out_channels, 1, bias=False)
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (N, in_channels, ...) to (N, out_channels, ...)."""
        result: torch.Tensor = self.activation(
            self.body(features) + self.shortcut(features)
        )
        return result


class CoverageChannel(nn.Module):
    """Append a channel of ones, so that zero padding is told from dark image.

    A padded convolution sees zeros beyond the border. After normalisation zero is
    also a common intensity; with a channel that is one inside the image and, through
    the padding, zero outside, the network can tell the two apart.
    """

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (N, C, ...) to (N, C + 1, ...)."""
        return torch.cat([image, torch.ones_like(image[:, :1])], dim=1)
