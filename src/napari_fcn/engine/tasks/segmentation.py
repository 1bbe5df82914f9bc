"""Segmentation: each annotated pixel belongs to one class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fcn.config import ModelConfig, NormalisationConfig, usual_network
from napari_fcn.data.annotations import PIECES_NEEDED, Annotations
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.metrics import Confusion
from napari_fcn.engine.tasks.base import (
    Score,
    Task,
    common_channels,
    with_channels,
)
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_fcn.config import ClassInfo, NetworkConfig, TrainingConfig
    from napari_fcn.data.annotations import LabelledImage
    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks.base import Look, Predict, See

_ALIGNED = 0.15
"""Enough for uneven staining; less than what empty and full sections differ by."""


class Segmentation(Task):
    """One logit per class; the score is the mean Dice coefficient.

    Parameters
    ----------
    images : sequence of LabelledImage
        What was painted.
    classes : sequence of ClassInfo
        One per output channel.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train.

    Raises
    ------
    UserError
        If fewer than two classes are painted, or images differ in their channels.
    """

    solves_head = True

    def __init__(
        self,
        images: Sequence[LabelledImage],
        classes: Sequence[ClassInfo],
        config: TrainingConfig,
        network: NetworkConfig,
    ) -> None:
        channels = common_channels([item.image for item in images])
        if len(classes) < 2:
            raise UserError(
                "Only one class is painted; paint at least one stroke of another class."
                if classes
                else "Nothing is painted yet; paint a stroke of each class."
            )
        self.seed = config.seed
        fitted = with_channels(network, channels, len(classes))
        self.config = ModelConfig(
            network=usual_network(fitted, "segmentation", config),
            normalisation=NormalisationConfig(aligned=_ALIGNED),
            classes=tuple(classes),
        )
        self.annotations = Annotations(
            images, classes, held_out=config.held_out, seed=config.seed
        )
        self.annotations.require_trainable()
        self._loss = build_loss(config.loss)

    @property
    def targets(self) -> Annotations:
        """The class indices of what was painted."""
        return self.annotations

    def batch(
        self, size: int, crop: Sequence[int], augment: Augmenter, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Draw crops, with class indices (N, *spatial) as the target."""
        crops = self._sampler.draw(size, crop)
        return augment(
            torch.from_numpy(crops.image).to(device),
            torch.from_numpy(crops.target).to(device),
        )

    def painted_features(
        self, see: See, crop: Sequence[int], augment: Augmenter, look: Look
    ) -> tuple[Tensor, Tensor]:
        """Return features and classes of painted pixels, each of them at most once.

        Images of one channel are seen in one light.
        """
        features, classes = [], []
        several = self.config.network.in_channels > 1
        lights = look.lights if several and augment.varies_channels else 1
        device = augment.device
        with torch.inference_mode():
            most = max(look.crops, len(self.config.classes))
            for crop_image, crop_target in self._sampler.cover(crop, most):
                image = torch.from_numpy(crop_image)[None].to(device)
                others = image.expand(lights - 1, *image.shape[1:])
                image = torch.cat([image, augment.vary_light(others)])
                target = torch.from_numpy(crop_target).flatten()
                seen = _some_of_each(target, look.pixels, augment.generator)
                features.append(see(image, seen.to(device)).cpu())
                classes.append(target[seen])
        if not features:
            return torch.zeros(lights, 0, 0), torch.zeros(0, dtype=torch.int64)
        return torch.cat(features, 1), torch.cat(classes)

    def loss(self, output: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the loss that the settings name, over annotated pixels."""
        return self._loss(output, target)

    def score(self, predict: Predict, crop: Sequence[int], *, held: bool) -> Score:
        """Return the mean Dice coefficient of the classes."""
        confusion = Confusion(len(self.config.classes))
        for image, target in self._score_crops(crop, held=held):
            confusion.update(target, predict(image).argmax(0).numpy())
        parts = {
            c.name: float(dice)
            for c, dice, there in zip(
                self.config.classes, confusion.dice, confusion.present, strict=True
            )
            if there
        }
        return Score(float(np.mean(list(parts.values()))) if parts else 0.0, parts)

    def unscored(self) -> str:
        """Name the classes of which no stroke could be held out."""
        unscored = self.annotations.unscored_classes()
        if not unscored:
            return ""
        names = " and ".join(c.name for c in unscored)
        return (
            f"Too few separate strokes of {names} to keep any for scoring: the score "
            "is partly on strokes the network has learned from. Paint "
            f"{PIECES_NEEDED} or more of each; some are kept from the next start on."
        )

    def facts(self, score: float | None) -> dict[str, Any]:
        """Return the Dice coefficient on held-out strokes."""
        return {"held_out_dice": score}


def _some_of_each(target: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return the indices of the pixels of each class, of very many a random choice."""
    chosen = [torch.zeros(0, dtype=torch.int64)]
    for value in target[target >= 0].unique():
        found = (target == value).nonzero().squeeze(1)
        if len(found) > most:
            found = found[torch.randperm(len(found), generator=generator)[:most]]
        chosen.append(found)
    return torch.cat(chosen)
