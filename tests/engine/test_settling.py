"""When nothing more is learned one is told, until something is painted."""

from __future__ import annotations

import numpy as np

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.schedule import FLOOR
from napari_fcn.engine.trainer import Trainer


def halves() -> LabelledImage:
    """A dark and a bright half, with a stroke on each."""
    image = np.zeros((64, 64), np.float32)
    image[:, 32:] = 1
    image += np.random.default_rng(0).normal(0, 0.1, image.shape).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[20, 4:28], labels[20, 36:60] = 1, 2
    return LabelledImage(ImageSource(image, Axes.of("YX"), 2, "halves"), labels)


def test_one_is_told_whenever_waiting_does_not_help_any_more(monkeypatch):
    monkeypatch.setattr(
        "napari_fcn.engine.trainer.settling_factor",
        lambda since: FLOOR if since >= 2 else 1.0,
    )
    item, said = halves(), []
    trainer = Trainer(
        [item],
        classes_from_values([1, 2]),
        TrainingConfig(device="cpu", precision="float32", held_out=0, crop=32),
        NetworkConfig(photo_features=False),
        on_message=said.append,
    )
    for expected in (0, 0, 1, 1):
        trainer.step()
        assert sum("is learned" in text for text in said) == expected
    item.labels[40, 4:60] = 1
    trainer.refresh({0: None})
    trainer.step()
    assert not trainer.settled
    for _ in range(3):
        trainer.step()
    assert sum("is learned" in text for text in said) == 2
    assert trainer.settled
    trainer.refresh({0: None})
    assert trainer.settled
    item.labels[40, 4:60], item.labels[44, 4:60] = 0, 1  # as many pixels as before
    trainer.refresh({0: None})
    assert not trainer.settled
