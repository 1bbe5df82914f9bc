"""The networks by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import torch

from napari_fcn.config.catalogue import NETWORK_WORDS
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


_BUILDERS: dict[str, Callable[[NetworkConfig], nn.Module]] = {
    "unet": UNet,
    "unet-2015": PublishedUNet,
    "unet-residual": UNet,
    "unet-strided": UNet,
    "unet-nearest": UNet,
    "unet-indices": UNet,
    "unet-deep": UNet,
    "fcn-32s": FCN,
    "fcn-16s": FCN,
    "fcn-8s": FCN,
    "segnet": SegNet,
    "cnn": PlainCNN,
    "patch": DensePatchNetwork,
}
if encoders_installed():
    _BUILDERS["unet-pretrained"] = PretrainedUNet


def _architecture(name: str) -> Architecture:
    words = NETWORK_WORDS[name]
    return Architecture(_BUILDERS[name], words.title, words.source, words.settings)


_BYTES_PER_WEIGHT = 4 * 5
"""Single precision: the weight, its average, its gradient, and AdamW's two moments."""

ARCHITECTURES: dict[str, Architecture] = {n: _architecture(n) for n in _BUILDERS}
"""All networks that can be built here; those of extras only where these are."""

NETWORKS: dict[str, Callable[[NetworkConfig], nn.Module]] = dict(_BUILDERS)


def build_network(config: NetworkConfig) -> nn.Module:
    """Build a network with random weights.

    Parameters
    ----------
    config : NetworkConfig
        Its `name` must be one of `NETWORKS`.

    Raises
    ------
    UserError
        If there is no network of that name, if it needs an extra that is not
        installed, or if this computer has not the memory for it.
    """
    build = NETWORKS.get(config.name)
    if build is None and config.name == "unet-pretrained":
        build = PretrainedUNet  # it says what to install
    if build is None:
        known = ", ".join(sorted(NETWORKS))
        raise UserError(
            f"There is no network called {config.name!r}; choose one of: {known}."
        )
    _require_memory(build, config)
    network = build(config)
    if config.coordinates:
        require_coordinates(network, config.input_channels)
    return network


def _require_memory(
    build: Callable[[NetworkConfig], nn.Module], config: NetworkConfig
) -> None:
    """Refuse a network that could not learn here, before the system kills for it."""
    meta = torch.device("meta")
    if torch.get_default_device() == meta:
        return
    with meta:  # takes no memory, whatever the size
        weights = count_parameters(build(config))
    needed, free = _BYTES_PER_WEIGHT * weights, psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"This network has {weights / 1e6:,.0f} million weights and needs "
            f"{needed / 1e9:,.0f} GB to learn, but {free / 1e9:.0f} GB are free; "
            "choose less width or depth."
        )


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
