"""In how many sizes a network sees an image, where that is not chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.config.network import NetworkConfig

if TYPE_CHECKING:
    from napari_fcn.config.training import TrainingConfig

_SCALES = 2
_FREE = (
    "ndim",
    "in_channels",
    "out_channels",
    "flat_levels",
    "layers",
    "scales",
    "coordinates",
    "encoder",
)
"""What a network may have otherwise than the one that the shipped weights are of."""


def usual_scales(
    network: NetworkConfig, task: str, training: TrainingConfig
) -> NetworkConfig:
    """Say in how many sizes a network sees the image, unless that is chosen.

    Parameters
    ----------
    network : NetworkConfig
        Its `scales` may be None.
    task : str
        What it learns.
    training : TrainingConfig
        How it learns.

    Returns
    -------
    NetworkConfig
        With two scales where learning starts from the shipped weights, else one.
    """
    if network.scales is not None:
        return network
    starts = task == "segmentation" and training.shipped and _has_weights(network)
    return network.model_copy(update={"scales": _SCALES if starts else 1})


def _has_weights(network: NetworkConfig) -> bool:
    usual = NetworkConfig()
    same = {name: getattr(usual, name) for name in _FREE}
    return network.model_copy(update=same) == usual
