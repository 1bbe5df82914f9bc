"""The configuration of a network."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from napari_fcn.config.base import Frozen

PRESETS: dict[str, dict[str, Any]] = {
    "cnn": {"batch_norm": False},
    "fcn-32s": {"depth": 5},
    "fcn-16s": {"depth": 5},
    "fcn-8s": {"depth": 5},
    "patch": {"width": 48, "depth": 4, "batch_norm": False},
    "segnet": {"depth": 5},
    "unet-2015": {"width": 64, "depth": 4, "batch_norm": False},
    "unet-deep": {"deep_supervision": True},
    "unet-indices": {"up": "indices"},
    "unet-nearest": {"up": "nearest"},
    "unet-residual": {"residual": True},
    "unet-strided": {"down": "stride"},
}
"""What the fields of a network of this name are, unless they are given."""

PRESETS_3D: dict[str, dict[str, Any]] = {
    "patch": {"width": 16, "depth": 2},
    "unet-2015": {"width": 16, "depth": 2},
}
"""What differs from `PRESETS` in 3D, where the published sizes fill the memory."""


class NetworkConfig(Frozen):
    """What a network is built from.

    The defaults below are those of `unet`; `PRESETS` has what differs for the others.
    A network ignores the fields that its architecture has no use for.

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
    layers : int
        Hidden layers of the plain CNN, which makes nothing smaller.
    down : {"pool", "stride"}
        How the image is made smaller: by its maxima, or by a strided convolution.
    up : {"transpose", "nearest", "indices"}
        How features are made larger: by a transposed convolution, by replication and
        a convolution, or to where the maxima were.
    residual : bool
        Whether each block adds its input to its output.
    deep_supervision : bool
        Whether the coarser levels of the decoder learn to predict, too.
    scales : int or None
        In how many sizes the network sees the image: as it is, half as large, and so
        on. None for what is usual: two where learning starts from the shipped weights,
        else one.
    photo_features : bool or None
        Whether features learned on photographs have a say, too; in U-Nets, in 2D, and
        where classes are told apart. None for what is usual: where learning starts from
        the shipped weights.
    filter_features : bool or None
        Whether fixed filters have a say with features learned on photographs; only with
        these. None for what is usual: as for these.
    coordinates : bool
        Whether the position of each pixel enters as extra channels, one per axis.
    encoder : {"resnet18", "resnet34", "resnet50"}
        What network was trained on photographs, where one is used.
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
    layers: int = Field(default=8, ge=1, le=64)
    down: Literal["pool", "stride"] = "pool"
    up: Literal["transpose", "nearest", "indices"] = "transpose"
    residual: bool = False
    deep_supervision: bool = False
    scales: int | None = Field(default=None, ge=1, le=4)
    photo_features: bool | None = None
    filter_features: bool | None = None
    coordinates: bool = False
    encoder: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_preset(cls, data: Any) -> Any:
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str):
            return data
        in_3d = PRESETS_3D.get(name, {}) if data.get("ndim") == 3 else {}
        return {**PRESETS.get(name, {}), **in_3d, **data}

    @model_validator(mode="after")
    def _flat_levels_need_3d(self) -> NetworkConfig:
        if self.flat_levels and self.ndim == 2:
            raise ValueError("flat_levels is for 3D networks only")
        return self

    @model_validator(mode="after")
    def _indices_need_pooling(self) -> NetworkConfig:
        if self.up == "indices" and self.down != "pool":
            raise ValueError("up='indices' needs down='pool', which finds the maxima")
        return self

    @property
    def input_channels(self) -> int:
        """Channels that enter the network: the image's and the coordinates."""
        return self.in_channels + (self.ndim if self.coordinates else 0)
