"""The networks by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fcn.errors import UserError
from napari_fcn.networks.cnn import PlainCNN
from napari_fcn.networks.coordinates import require_coordinates
from napari_fcn.networks.fcn import FCN
from napari_fcn.networks.patch import DensePatchNetwork
from napari_fcn.networks.pretrained import PretrainedUNet, encoders_installed
from napari_fcn.networks.published_unet import PublishedUNet
from napari_fcn.networks.segnet import SegNet
from napari_fcn.networks.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from napari_fcn.config import NetworkConfig


@dataclass(frozen=True)
class Architecture:
    """What a name in the registry stands for.

    Attributes
    ----------
    build : callable
        From a `NetworkConfig` to a network with random weights.
    title : str
        One line for people who choose.
    source : str
        Where it was published.
    settings : tuple of str
        The fields of `NetworkConfig` that make a difference to it, besides name,
        ``ndim``, channels and ``coordinates``.
    """

    build: Callable[[NetworkConfig], nn.Module]
    title: str
    source: str
    settings: tuple[str, ...]


_UNET = (
    "width",
    "depth",
    "batch_norm",
    "skips",
    "flat_levels",
    "down",
    "up",
    "residual",
    "deep_supervision",
)
_VGG = ("width", "depth", "batch_norm")
_PUBLISHED_UNET = "Ronneberger et al. 2015"
_LONG = "Long et al. 2015"

ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(UNet, "U-Net, padded", _PUBLISHED_UNET, _UNET),
    "unet-2015": Architecture(
        PublishedUNet,
        "U-Net as published, on mirrored tiles",
        _PUBLISHED_UNET,
        ("width", "depth", "batch_norm", "flat_levels"),
    ),
    "unet-residual": Architecture(
        UNet, "U-Net with residual blocks", "He et al. 2016", _UNET
    ),
    "unet-strided": Architecture(
        UNet,
        "U-Net with strided convolutions for pooling",
        "Springenberg et al. 2015",
        _UNET,
    ),
    "unet-nearest": Architecture(
        UNet, "U-Net that enlarges by replication", "Odena et al. 2016", _UNET
    ),
    "unet-indices": Architecture(
        UNet,
        "U-Net that enlarges to where the maxima were",
        "Badrinarayanan et al. 2015",
        _UNET,
    ),
    "unet-deep": Architecture(
        UNet, "U-Net with deep supervision", "Lee et al. 2015", _UNET
    ),
    "fcn-32s": Architecture(FCN, "FCN, stride 32", _LONG, _VGG),
    "fcn-16s": Architecture(FCN, "FCN with one skip", _LONG, (*_VGG, "skips")),
    "fcn-8s": Architecture(FCN, "FCN with two skips", _LONG, (*_VGG, "skips")),
    "segnet": Architecture(
        SegNet, "SegNet, with pooling indices", "Badrinarayanan et al. 2015", _VGG
    ),
    "cnn": Architecture(
        PlainCNN,
        "Plain CNN of 3x3 convolutions",
        "Pang et al. 2010",
        ("width", "layers", "batch_norm"),
    ),
    "patch": Architecture(
        DensePatchNetwork,
        "Patch classifier, made fully convolutional",
        "Cireşan et al. 2012",
        _VGG,
    ),
}
"""All networks that can be built here; those of extras only where these are."""

if encoders_installed():
    ARCHITECTURES["unet-pretrained"] = Architecture(
        PretrainedUNet,
        "U-Net on an encoder trained on photographs",
        "Deng et al. 2009; He et al. 2016",
        ("width", "encoder", "batch_norm"),
    )

NETWORKS: dict[str, Callable[[NetworkConfig], nn.Module]] = {
    name: architecture.build for name, architecture in ARCHITECTURES.items()
}


def build_network(config: NetworkConfig) -> nn.Module:
    """Build a network with random weights.

    Parameters
    ----------
    config : NetworkConfig
        Its `name` must be one of `NETWORKS`.

    Raises
    ------
    UserError
        If there is no network of that name, or if it needs an extra that is not
        installed.
    """
    build = NETWORKS.get(config.name)
    if build is None and config.name == "unet-pretrained":
        build = PretrainedUNet  # it says what to install
    if build is None:
        known = ", ".join(sorted(NETWORKS))
        raise UserError(
            f"There is no network called {config.name!r}; choose one of: {known}."
        )
    network = build(config)
    if config.coordinates:
        require_coordinates(network, config.input_channels)
    return network


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
