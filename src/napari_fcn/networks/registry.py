"""The networks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.errors import UserError
from napari_fcn.networks.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from napari_fcn.config import NetworkConfig

NETWORKS: dict[str, Callable[[NetworkConfig], nn.Module]] = {"unet": UNet}


def build_network(config: NetworkConfig) -> nn.Module:
    """Build a network with random weights.

    Parameters
    ----------
    config : NetworkConfig
        Its `name` must be one of `NETWORKS`.

    Raises
    ------
    UserError
        If there is no network of that name.
    """
    try:
        network = NETWORKS[config.name]
    except KeyError:
        known = ", ".join(sorted(NETWORKS))
        raise UserError(
            f"There is no network called {config.name!r}; choose one of: {known}."
        ) from None
    return network(config)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
