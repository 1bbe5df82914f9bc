"""Fully convolutional networks that learn microscopy images from a few strokes.

Nothing heavy is imported before it is used::

    import napari_fcn as fcn

    model = fcn.train(images, labels, seconds=60)
    masks = model.predict(image)
    model.save("model.safetensors")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fcn.api import train
    from napari_fcn.config import ClassInfo, NetworkConfig, TrainingConfig
    from napari_fcn.data.extra import with_mask
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.model import load_model as load
    from napari_fcn.errors import UserError
    from napari_fcn.networks import UNet, receptive_field

__all__ = [
    "ClassInfo",
    "Model",
    "NetworkConfig",
    "TrainingConfig",
    "UNet",
    "UserError",
    "load",
    "receptive_field",
    "train",
    "with_mask",
]

_HOMES = {
    "ClassInfo": "napari_fcn.config:ClassInfo",
    "Model": "napari_fcn.engine.model:Model",
    "NetworkConfig": "napari_fcn.config:NetworkConfig",
    "TrainingConfig": "napari_fcn.config:TrainingConfig",
    "UNet": "napari_fcn.networks:UNet",
    "UserError": "napari_fcn.errors:UserError",
    "load": "napari_fcn.engine.model:load_model",
    "receptive_field": "napari_fcn.networks:receptive_field",
    "train": "napari_fcn.api:train",
    "with_mask": "napari_fcn.data.extra:with_mask",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'napari_fcn' has no attribute {name!r}")
    module, attribute = _HOMES[name].split(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
