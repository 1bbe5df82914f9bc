"""Fully convolutional networks and what can be computed from them."""

from napari_fcn.networks.receptive_field import ReceptiveField, receptive_field
from napari_fcn.networks.registry import NETWORKS, build_network, count_parameters
from napari_fcn.networks.unet import UNet

__all__ = [
    "NETWORKS",
    "ReceptiveField",
    "UNet",
    "build_network",
    "count_parameters",
    "receptive_field",
]
