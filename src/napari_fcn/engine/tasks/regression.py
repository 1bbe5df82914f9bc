"""Image to image: each output channel is an image in units of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fcn.config import ClassInfo, ModelConfig, OutputInfo, RegressionConfig
from napari_fcn.data.annotations import Annotations
from napari_fcn.data.output_ranges import measure_outputs
from napari_fcn.data.pairs import ImageTargets
from napari_fcn.engine.blind_spot import hide_pixels
from napari_fcn.engine.dihedral import vary_both_exactly
from napari_fcn.engine.image_losses import SumOfImageLosses
from napari_fcn.engine.image_scores import Correlation, compare_images
from napari_fcn.engine.tasks.base import Score, Task, common_channels, with_channels
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_fcn.config import NetworkConfig, TrainingConfig
    from napari_fcn.data.pairs import PairedImage
    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks.base import Predict

TRUSTED = ClassInfo(value=1, name="trusted region")
DEFAULT_LOSS = "l2"
_SCORED_SHARE = 0.1
"""Share of the pixels that are hidden when a network is scored on hidden pixels."""


class Regression(Task):
    """Predicts images; the score is Pearson's r, or that on hidden pixels.

    Parameters
    ----------
    images : sequence of PairedImage
        With targets; or without, for a loss that needs none.
    classes : sequence of ClassInfo
        Not used.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train.

    Raises
    ------
    UserError
        If images, targets and loss do not go together.
    """

    def __init__(
        self,
        images: Sequence[PairedImage],
        classes: Sequence[ClassInfo],
        config: TrainingConfig,
        network: NetworkConfig,
    ) -> None:
        channels = common_channels([item.image for item in images])
        self.seed = config.seed
        self._loss = SumOfImageLosses.of(config.loss_for(DEFAULT_LOSS))
        self._require_targets(images)
        self.annotations = Annotations(
            [item.trusted() for item in images],
            [TRUSTED],
            held_out=config.held_out,
            seed=config.seed,
        )
        if not sum(self.annotations.class_pixels()):
            raise UserError("No region is trusted; mark one, or trust whole images.")
        if self._loss.blind:
            names = [f"channel {n + 1}" for n in range(channels)]
            outputs = tuple(OutputInfo(name=name) for name in names)
        else:
            outputs = measure_outputs(images, self.annotations, config.output_names)
        regression = RegressionConfig(
            outputs=outputs, spread=self._loss.spread, of_the_image=self._loss.blind
        )
        self.config = ModelConfig(
            task="regression",
            network=with_channels(network, channels, regression.channels),
            regression=regression,
        )
        self._images = list(images)
        self._targets = ImageTargets(images, self.annotations, outputs)

    @property
    def targets(self) -> ImageTargets:
        """Normalised target images and where they are trusted."""
        return self._targets

    def replace(self, number: int, item: PairedImage) -> None:
        """Take over which regions are trusted now in an image."""
        self._images[number] = self._targets.images[number] = item
        self.annotations.images[number] = item.trusted()
        self.refresh(number, None)

    @property
    def _regression(self) -> RegressionConfig:
        assert self.config.regression is not None
        return self.config.regression

    def resume(self, config: ModelConfig) -> bool:
        """Go on with a model of an earlier run, and with its units."""
        old, mine = config.regression, self._regression
        if old is None or old.of_the_image != mine.of_the_image:
            return False
        names = [o.name for o in old.outputs] == [o.name for o in mine.outputs]
        if not names or not super().resume(config):
            return False
        self.config = self.config.model_copy(update={"regression": old})
        self._targets = ImageTargets(self._images, self.annotations, old.outputs)
        return True

    def batch(
        self, size: int, crop: Sequence[int], augment: Augmenter, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Draw crops; the target is (N, K + 1, *spatial), as `ImageTargets` has it.

        They are flipped and turned only, so that no intensity changes.
        """
        crops = self._sampler.draw(size, crop)
        image, target = vary_both_exactly(
            torch.from_numpy(crops.image).to(device),
            torch.from_numpy(crops.target).to(device),
            augment.config,
            augment.generator,
        )
        if self._loss.blind:
            original = image[:, : len(self._regression.outputs)]
            image, hidden = hide_pixels(image, augment.generator)
            target = torch.cat([original, hidden * target], 1)
        return image, target

    def loss(self, output: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Return the loss that the settings name, over trusted pixels."""
        return self._loss(output, target[:, :-1], target[:, -1:])

    def score(self, predict: Predict, crop: Sequence[int], *, held: bool) -> Score:
        """Return the mean of Pearson's r over the outputs, each at least 0.

        Without targets it is that between predicted and noisy values of hidden pixels:
        it does not reach 1, but grows as the signal is found.
        """
        outputs = self._regression.outputs
        pairs = Correlation(len(outputs))
        generator = torch.Generator().manual_seed(self.seed)
        scores = []
        for image, target in self._score_crops(crop, held=held):
            if self._loss.blind:
                given, hidden = hide_pixels(
                    torch.from_numpy(image)[None], generator, _SCORED_SHARE
                )
                truth, seen = (
                    image[: len(outputs)],
                    target[-1] * hidden[0, 0].numpy() > 0,
                )
                found = predict(given[0].numpy())
            else:
                truth, seen = target[:-1], target[-1] > 0
                found = predict(image)[: len(outputs)]
            pairs.add(truth[:, seen], found.numpy()[:, seen])
            if not self._loss.blind and seen.any():
                scores += [
                    compare_images(x, y, seen)
                    for x, y in zip(truth, found.numpy(), strict=True)
                ]
        values = np.maximum(pairs.values(), 0)
        parts = {o.name: float(v) for o, v in zip(outputs, values, strict=True)}
        details = {}
        if scores:
            details = {
                "PSNR": float(np.mean([s.psnr for s in scores])),
                "SSIM": float(np.mean([s.ssim for s in scores])),
            }
        return Score(float(values.mean()), parts, details)

    def unscored(self) -> str:
        """Say that nothing could be held out."""
        if not self.annotations.unscored_classes():
            return ""
        return (
            "The trusted region is too small to keep a part of it for scoring: the "
            "score is on what the network has learned from."
        )

    def _require_targets(self, images: Sequence[PairedImage]) -> None:
        missing = [item.image.name for item in images if item.target is None]
        if missing and not self._loss.blind:
            raise UserError(
                f"There is no target for {missing[0]}; choose one, or take the loss "
                "noise2void, which removes noise without one."
            )
        if self._loss.blind and len(missing) < len(images):
            raise UserError(
                "The loss noise2void learns from the images themselves; leave out the "
                "targets, or choose another loss such as l2."
            )
