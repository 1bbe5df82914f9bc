"""What of a network depends on how it learns, where that is not chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.config.catalogue import NETWORK_WORDS
from napari_fcn.config.network import NetworkConfig

if TYPE_CHECKING:
    from napari_fcn.config.training import TrainingConfig

_SCALES = 2
_PLAIN = {"scales": 1, "photo_features": False}
_FREE = (
    "ndim",
    "in_channels",
    "out_channels",
    "flat_levels",
    "layers",
    "scales",
    "photo_features",
    "coordinates",
    "encoder",
)
"""What a network may have otherwise than the one that the shipped weights are of."""


def usual_network(
    network: NetworkConfig, task: str, training: TrainingConfig
) -> NetworkConfig:
    """Say in how many sizes, and with which features, a network sees the image.

    Parameters
    ----------
    network : NetworkConfig
        Its `scales` and `photo_features` may be None; what is chosen stays.
    task : str
        What it learns.
    training : TrainingConfig
        How it learns.

    Returns
    -------
    NetworkConfig
        Where learning starts from the shipped weights, with two scales, and in 2D
        with features learned on photographs; else with one scale and without.
        Photographs are left out where they have no use.
    """
    starts = task == "segmentation" and training.shipped and _has_weights(network)
    usual = {"scales": _SCALES if starts else 1, "photo_features": starts}
    return without_unused(network.model_copy(update=_not_chosen(network, usual)), task)


def without_unused(network: NetworkConfig, task: str) -> NetworkConfig:
    """Leave features of photographs out where they have no use.

    Parameters
    ----------
    network : NetworkConfig
        Of any kind.
    task : str
        What it learns.

    Returns
    -------
    NetworkConfig
        The same if it is a U-Net in 2D that tells classes apart, else with
        `photo_features` False.
    """
    known = NETWORK_WORDS.get(network.name)
    able = known is not None and "photo_features" in known.settings
    if able and network.ndim == 2 and task == "segmentation":
        return network
    return network.model_copy(update={"photo_features": False})


def plain_network(network: NetworkConfig) -> NetworkConfig:
    """Say that a network has one size and learned features only, unless it is chosen.

    So were all networks of which nothing is known.
    """
    return network.model_copy(update=_not_chosen(network, _PLAIN))


def see_alike(network: NetworkConfig, earlier: NetworkConfig) -> NetworkConfig:
    """Let a network see the image as an earlier one does, where that is not chosen."""
    seen = {"scales": earlier.scales, "photo_features": earlier.photo_features}
    return network.model_copy(update=_not_chosen(network, seen))


def _not_chosen(network: NetworkConfig, values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if getattr(network, k) is None}


def _has_weights(network: NetworkConfig) -> bool:
    usual = NetworkConfig()
    same = {name: getattr(usual, name) for name in _FREE}
    return network.model_copy(update=same) == usual
