"""The position of each pixel as extra channels (CoordConv).

A fully convolutional network is blind to where in the image it looks. Where position
matters, as for the papilla in a fundus image, it can be told (Liu et al. 2018, "An
intriguing failing of convolutional neural networks and the CoordConv solution"). The
coordinates are those of the whole image, whatever part of it is read: as an input
like any other they leave the network equivariant, and tiles of it exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn


def coordinate_channels(
    region: Sequence[slice], shape: Sequence[int]
) -> NDArray[np.float32]:
    """Return the coordinates of a region of an image, one channel per axis.

    Parameters
    ----------
    region : sequence of slice
        With start and stop, inside the image.
    shape : sequence of int
        Spatial shape of the whole image.

    Returns
    -------
    ndarray
        float32 (ndim, *region), -1 for the first and 1 for the last pixel of the
        whole image along the axis; 0 along axes of a single pixel.
    """
    axes = [
        np.arange(part.start, part.stop) * (2 / (size - 1)) - 1
        if size > 1
        else np.zeros(1)
        for part, size in zip(region, shape, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def require_coordinates(network: nn.Module, channels: int) -> None:
    """Let a network say in plain words that its coordinates are missing.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    channels : int
        How many the network takes, coordinates included.
    """

    def check(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        image: torch.Tensor = inputs[0]
        if image.shape[1] != channels:
            raise UserError(
                f"This network takes {channels} channels, the last of them the "
                f"coordinates of each pixel, and was given {image.shape[1]}; predict "
                "with Model.predict, which adds them."
            )

    network.register_forward_pre_hook(check)
