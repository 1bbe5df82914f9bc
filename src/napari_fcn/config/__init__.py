"""Frozen, versioned settings: they are saved with every model and project."""

from napari_fcn.config.base import Frozen
from napari_fcn.config.classes import (
    BACKGROUND,
    ClassInfo,
    classes_from_values,
    default_colour,
)
from napari_fcn.config.model import (
    IntensityRange,
    ModelConfig,
    NormalisationConfig,
    Task,
)
from napari_fcn.config.network import NetworkConfig
from napari_fcn.config.options import network_from_words
from napari_fcn.config.outputs import (
    CountError,
    DensityConfig,
    OutputInfo,
    RegressionConfig,
)
from napari_fcn.config.tasks import (
    BLIND_SPOT,
    HETEROSCEDASTIC,
    CountingSettings,
    ImageSettings,
    training_for,
)
from napari_fcn.config.training import (
    AugmentationConfig,
    DeviceName,
    Precision,
    TrainingConfig,
    usual_augmentation,
)
from napari_fcn.config.usual import see_alike, usual_network

__all__ = [
    "BACKGROUND",
    "BLIND_SPOT",
    "HETEROSCEDASTIC",
    "AugmentationConfig",
    "ClassInfo",
    "CountError",
    "CountingSettings",
    "DensityConfig",
    "DeviceName",
    "Frozen",
    "ImageSettings",
    "IntensityRange",
    "ModelConfig",
    "NetworkConfig",
    "NormalisationConfig",
    "OutputInfo",
    "Precision",
    "RegressionConfig",
    "Task",
    "TrainingConfig",
    "classes_from_values",
    "default_colour",
    "network_from_words",
    "see_alike",
    "training_for",
    "usual_augmentation",
    "usual_network",
]
