"""What makes a new engine quick before the user first asks for something."""

from __future__ import annotations

import numpy as np

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.predict import run_network
from napari_fcn.engine.trainer import Trainer


def warm_up() -> str:
    """Do one training step and one prediction, which makes the first real ones fast.

    Returns
    -------
    str
        Where the engine computes, in plain words.
    """
    random = np.random.default_rng(0)
    image = random.random((256, 256), np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[64:68], labels[192:196] = 1, 2
    item = LabelledImage(ImageSource(image, Axes.of("YX"), 2, "warm-up"), labels)
    trainer = Trainer(
        [item], classes_from_values([1, 2]), TrainingConfig(), NetworkConfig()
    )
    trainer.step()
    padded = image[np.newaxis]
    run_network(trainer.live_model().network, padded, trainer.compute)
    return trainer.compute.describe()
