"""The last layer of a network that sees an image in several sizes."""

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
    """A linear classifier of the features of several scales.

    It is a convolution of kernel size 1 on the features of all scales, each brought to
    the size of the image, one after the other. As that and interpolation are linear, it
    comes to the same, and costs less, to enlarge what is made of the features and not
    the features.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimension. Each scale has half the size of the one before, of volumes in
        the plane only.
    features, out_channels : int
        Features of each scale, and what all of them together are mapped to.
    scales : int
        How many there are.
    """

    def __init__(
        self, ndim: int, features: int, out_channels: int, scales: int
    ) -> None:
        super().__init__()
        usual = CONV[ndim](scales * features, out_channels, 1)
        self.weight, self.bias = usual.weight, usual.bias
        self.enlarge = doubling(ndim)
        self._convolve = _CONVOLVE[ndim]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map (N, features, ...) of each scale, finest first, to (N, K, ...)."""
        *coarser, coarsest = self.weight.chunk(len(features), 1)
        output = self._convolve(features[-1], coarsest, self.bias)
        for seen, weight in zip(features[-2::-1], coarser[::-1], strict=True):
            output = self._convolve(seen, weight) + self.enlarge(output)
        return output

    def join(self, features: Sequence[Tensor]) -> Tensor:
        """Return the features of all scales in the size of the image, (N, D, ...)."""
        same_size = []
        for scale, seen in enumerate(features):
            for _ in range(scale):
                seen = self.enlarge(seen)
            same_size.append(seen)
        return torch.cat(same_size, 1)

    def carry(self, features: Sequence[Reaches]) -> Reaches:
        """Pass the reaches of all scales on."""
        reaches = features[-1]
        for finer in features[-2::-1]:
            reaches = join_all(finer, carry_through_module(self.enlarge, reaches))
        return reaches
