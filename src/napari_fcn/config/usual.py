"""What of a network depends on how it learns, where that is not chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.config.catalogue import NETWORK_WORDS
from napari_fcn.config.network import NetworkConfig

if TYPE_CHECKING:
    from napari_fcn.config.training import TrainingConfig

_SCALES = 2
_ADDED = ("photo_features", "filter_features")
"""Features that were not learned with the network."""
_PLAIN = {"scales": 1, **dict.fromkeys(_ADDED, False)}
_FREE = (
    "ndim",
    "in_channels",
    "out_channels",
    "flat_levels",
    "layers",
    "scales",
    *_ADDED,
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
        Its `scales`, `photo_features` and `filter_features` may be None; what is chosen
        stays.
    task : str
        What it learns.
    training : TrainingConfig
        How it learns.

    Returns
    -------
    NetworkConfig
        Where learning starts from the shipped weights, with two scales, and in 2D
        with features learned on photographs and fixed filters; else with one scale and
        without. Those are left out where they have no use.
    """
    starts = task == "segmentation" and training.shipped and _has_weights(network)
    photographs = starts if network.photo_features is None else network.photo_features
    usual = {
        "scales": _SCALES if starts else 1,
        "photo_features": photographs,
        "filter_features": photographs,
    }
    return without_unused(network.model_copy(update=_not_chosen(network, usual)), task)


def without_unused(network: NetworkConfig, task: str) -> NetworkConfig:
    """Leave features of photographs, and filters, out where they have no use.

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
        `photo_features` and `filter_features` False; filters are seen only together
        with photographs' features.
    """
    known = NETWORK_WORDS.get(network.name)
    able = known is not None and "photo_features" in known.settings
    if not able or network.ndim != 2 or task != "segmentation":
        return network.model_copy(update=dict.fromkeys(_ADDED, False))
    if network.photo_features is False:
        return network.model_copy(update={"filter_features": False})
    return network


def plain_network(network: NetworkConfig) -> NetworkConfig:
    """Say that a network has one size and learned features only, unless it is chosen.

    So were all networks of which nothing is known.
    """
    return network.model_copy(update=_not_chosen(network, _PLAIN))


def see_alike(network: NetworkConfig, earlier: NetworkConfig) -> NetworkConfig:
    """Let a network see the image as an earlier one does, where that is not chosen."""
    seen = {name: getattr(earlier, name) for name in _PLAIN}
    if network.photo_features not in (None, earlier.photo_features):
        del seen["filter_features"]  # it follows what is chosen now
    return network.model_copy(update=_not_chosen(network, seen))


def _not_chosen(network: NetworkConfig, values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if getattr(network, k) is None}


def _has_weights(network: NetworkConfig) -> bool:
    usual = NetworkConfig()
    same = {name: getattr(usual, name) for name in _FREE}
    return network.model_copy(update=same) == usual
