"""The configuration of a network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from napari_fcn.config.base import Frozen


class NetworkConfig(Frozen):
    """What a network is built from.

    Attributes
    ----------
    name : str
        Name of the architecture in the registry of networks.
    ndim : {2, 3}
        Number of spatial dimensions.
    in_channels, out_channels : int
        Channels of the image and of the output (d1 and d2 in F: I^d1 -> I^d2).
    width : int
        Channels of the first level; each level below has twice as many.
    depth : int
        Number of times the image is made smaller.
    batch_norm : bool
        Whether each convolution is followed by batch normalisation.
    skips : bool
        Whether the encoder's levels are joined to the decoder's.
    flat_levels : int
        For anisotropic 3D stacks: how many of the upper levels neither pool nor
        convolve along the first spatial axis.
    """

    name: str = "unet"
    ndim: Literal[2, 3] = 2
    in_channels: int = Field(default=1, ge=1, le=4096)
    out_channels: int = Field(default=2, ge=1, le=4096)
    width: int = Field(default=16, ge=1, le=1024)
    depth: int = Field(default=3, ge=0, le=8)
    batch_norm: bool = True
    skips: bool = True
    flat_levels: int = Field(default=0, ge=0, le=8)

    @model_validator(mode="after")
    def _flat_levels_need_3d(self) -> NetworkConfig:
        if self.flat_levels and self.ndim == 2:
            raise ValueError("flat_levels is for 3D networks only")
        return self
