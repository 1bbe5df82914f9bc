"""Model files for tests in which what they predict plays no role."""

from __future__ import annotations

from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.engine.model import Model
from napari_fcn.networks import build_network


def put_model(path, steps: int, score: float | None = None) -> None:
    """Write a model as a run of so many steps does."""
    network = NetworkConfig(width=4, depth=1, out_channels=2)
    config = ModelConfig(
        network=network,
        classes=classes_from_values([1, 2]),
        training={"steps": steps, "held_out_dice": score},
    )
    Model(config, build_network(network)).save(path)
