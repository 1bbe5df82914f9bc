"""The U-Net as it was published: without padding, on mirrored tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, POOL, UP_CONV, ConvBlock
from napari_fcn.networks.borders import Crop, Mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config import NetworkConfig


class PublishedUNet(AnySize):
    """The network of figure 1 in Ronneberger et al. 2015.

    Its convolutions are not padded, so that 572 x 572 pixels give 388 x 388 (`valid`).
    Before them the image is mirrored at its borders by 94 pixels, and what is too much
    is cut off, so that the output has the size of the input, like that of all networks
    here. ``width`` 64 and ``depth`` 4 are the published ones: 64 to 1024 channels.
    Weights start as proposed there in section 3, after He et al. 2015.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, ``width``, ``depth``, batch norm (none was published) and
        ``flat_levels``.

    Notes
    -----
    The dropout at the end of the contracting path, whose rate is not published, is
    left out.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        ndim, depth, norm = config.ndim, config.depth, config.batch_norm
        channels = [config.width * 2**level for level in range(depth + 1)]
        kernels = [self._along(level, 3, 1) for level in range(depth + 1)]
        strides = [self._along(level, 2, 1) for level in range(depth)]
        border = _border(kernels, strides)
        self.mirror = Mirror(border.mirror)
        self.encoder = nn.ModuleList(
            ConvBlock(i, o, k, batch_norm=norm, padded=False)
            for i, o, k in zip(
                [config.input_channels, *channels[:-1]], channels, kernels, strict=True
            )
        )
        self.pool = nn.ModuleList(POOL[ndim](s) for s in strides)
        self.crop = nn.ModuleList(Crop(margin) for margin in border.skips)
        self.up = nn.ModuleList(
            UP_CONV[ndim](2 * c, c, s, s)  # type: ignore[arg-type]
            for c, s in zip(channels[:-1], strides, strict=True)
        )
        self.decoder = nn.ModuleList(
            ConvBlock(2 * c, c, k, batch_norm=norm, padded=False)
            for c, k in zip(channels[:-1], kernels[:-1], strict=True)
        )
        self.head = CONV[ndim](config.width, config.out_channels, 1)
        self.cut = Crop(border.excess)
        self.apply(_start)

    def _along(self, level: int, value: int, flat: int) -> tuple[int, ...]:
        """Return `value` per axis, but `flat` along the first on flat levels."""
        first = flat if level < self.config.flat_levels else value
        return (first,) + (value,) * (self.config.ndim - 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        logits: torch.Tensor = self.cut(self.valid(self.mirror(image)))
        return logits

    def valid(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image to the logits of those pixels whose surroundings it holds.

        Parameters
        ----------
        image : Tensor
            (N, in_channels, ...), with sizes that all poolings halve evenly: 572.

        Returns
        -------
        Tensor
            (N, out_channels, ...), smaller: 388.
        """
        features = self.encoder[0](image)
        kept = []
        for pool, block in zip(self.pool, self.encoder[1:], strict=True):
            kept.append(features)
            features = block(pool(features))
        for level in reversed(range(len(kept))):
            skip = self.crop[level](kept[level])
            features = torch.cat([skip, self.up[level](features)], dim=1)
            features = self.decoder[level](features)
        logits: torch.Tensor = self.head(features)
        return logits


class _Border(NamedTuple):
    """Pixels on each side, per axis; for the skips also per level."""

    mirror: list[int]
    skips: list[tuple[int, ...]]
    excess: list[int]


def _border(
    kernels: Sequence[tuple[int, ...]], strides: Sequence[tuple[int, ...]]
) -> _Border:
    axes = [
        _border_along(ks, ss)
        for ks, ss in zip(
            zip(*kernels, strict=True),
            zip(*strides, strict=True) if strides else [()] * len(kernels[0]),
            strict=True,
        )
    ]
    return _Border(
        mirror=[mirror for mirror, _, _ in axes],
        skips=list(zip(*(skips for _, skips, _ in axes), strict=True)),
        excess=[excess for _, _, excess in axes],
    )


def _border_along(
    kernels: Sequence[int], strides: Sequence[int]
) -> tuple[int, list[int], int]:
    """Return the mirrored margin, the cropping of each skip, and what is too much.

    What two convolutions cut off, going down and going up, adds up from the bottom:
    a level's output is smaller than its input by ``lost`` pixels. An output of a
    multiple of the stride, plus an excess, is the smallest that covers the input.
    """
    shrinks = [2 * (k - 1) for k in kernels]
    lost, up_lost, total, skips = shrinks[-1], 0, 1, []
    for shrink, stride in zip(reversed(shrinks[:-1]), reversed(strides), strict=True):
        skips.append(lost * stride // 2)
        lost = lost * stride + 2 * shrink
        up_lost = up_lost * stride + shrink
        total *= stride
    excess = -up_lost % total
    return (lost + excess) // 2, skips[::-1], excess // 2


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
