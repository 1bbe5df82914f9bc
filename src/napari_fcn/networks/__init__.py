"""Fully convolutional networks and what can be computed from them."""

from napari_fcn.networks.advice import advise, depth_for, object_extents
from napari_fcn.networks.coordinates import coordinate_channels
from napari_fcn.networks.effective import EffectiveField, effective_field
from napari_fcn.networks.patch import PatchClassifier, to_dense
from napari_fcn.networks.pretrained import load_encoder, load_pretrained
from napari_fcn.networks.receptive_field import (
    LayerField,
    ReceptiveField,
    layer_fields,
    receptive_field,
)
from napari_fcn.networks.registry import (
    ARCHITECTURES,
    NETWORKS,
    Architecture,
    build_network,
    count_parameters,
)
from napari_fcn.networks.unet import UNet

__all__ = [
    "ARCHITECTURES",
    "NETWORKS",
    "Architecture",
    "EffectiveField",
    "LayerField",
    "PatchClassifier",
    "ReceptiveField",
    "UNet",
    "advise",
    "build_network",
    "coordinate_channels",
    "count_parameters",
    "depth_for",
    "effective_field",
    "layer_fields",
    "load_encoder",
    "load_pretrained",
    "object_extents",
    "receptive_field",
    "to_dense",
]
