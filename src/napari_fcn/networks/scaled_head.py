"""The last layer of a network whose features have several sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_fcn.networks.blocks import CONV
from napari_fcn.networks.reach import join_all
from napari_fcn.networks.resizing import doubling
from napari_fcn.networks.rules import carry_through_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.networks.reach import Reaches

_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


class ScaledHead(nn.Module):
    """A linear classifier of features of several sizes.

    It is a convolution of kernel size 1 on all features, each brought to the size of
    the image, one after the other. As that and interpolation are linear, it comes to
    the same, and costs less, to enlarge what is made of the features and not the
    features.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimension.
    sizes : sequence of (int, int)
        Of each feature map its level, and its channels. A feature map of level n has
        been halved n times, of volumes in the plane only.
    out_channels : int
        What all of them together are mapped to.
    """

    def __init__(
        self, ndim: int, sizes: Sequence[tuple[int, int]], out_channels: int
    ) -> None:
        super().__init__()
        self._levels, self._channels = zip(*sizes, strict=True)
        usual = CONV[ndim](sum(self._channels), out_channels, 1)
        self.weight, self.bias = usual.weight, usual.bias
        self.enlarge = doubling(ndim)
        self._convolve = _CONVOLVE[ndim]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map feature maps (N, channels, ...) to (N, out_channels, ...)."""
        weights = self.weight.split(self._channels, 1)
        output: Tensor | None = None
        for level in range(max(self._levels), -1, -1):
            output = None if output is None else self.enlarge(output)
            for own, seen, weight in zip(self._levels, features, weights, strict=True):
                if own != level:
                    continue
                if output is None:
                    output = self._convolve(seen, weight, self.bias)
                else:
                    output = output + self._convolve(seen, weight)
        assert output is not None
        return output

    def join(self, features: Sequence[Tensor], level: int = 0) -> Tensor:
        """Return all features in the size of the image, (N, D, ...).

        Or of the image halved `level` times, if none of them is finer.
        """
        same_size = []
        for own, seen in zip(self._levels, features, strict=True):
            for _ in range(own - level):
                seen = self.enlarge(seen)
            same_size.append(seen)
        return torch.cat(same_size, 1)

    def carry(self, features: Sequence[Reaches]) -> Reaches:
        """Pass the reaches of all features on."""
        same_size = []
        for level, reaches in zip(self._levels, features, strict=True):
            for _ in range(level):
                reaches = carry_through_module(self.enlarge, reaches)
            same_size.append(reaches)
        return join_all(*same_size)
