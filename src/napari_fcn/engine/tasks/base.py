"""What the trainer asks of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_fcn.config import usual_augmentation
from napari_fcn.data.crops import CropSampler
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fcn.config import (
        AugmentationConfig,
        ClassInfo,
        ModelConfig,
        NetworkConfig,
        TrainingConfig,
    )
    from napari_fcn.data.annotations import Annotations
    from napari_fcn.data.crops import BlockCache, Targets
    from napari_fcn.data.source import ImageSource
    from napari_fcn.engine.augmentation import Augmenter

    Predict = Callable[[NDArray[np.float32]], Tensor]
    See = Callable[[Tensor, Tensor], Tensor]

DEFAULT_CROP = {2: (128, 128), 3: (24, 80, 80)}
DEFAULT_BATCH = {2: 8, 3: 2}
SCORE_CROPS = 12
"""On how many crops, about, a network is scored."""


@dataclass(frozen=True)
class Look:
    """How much `Task.painted_features` looks at.

    Attributes
    ----------
    lights : int
        In how many lights crops may be seen: as they are, and otherwise.
    crops, pixels : int
        Crops, and pixels of a class in each, at the most; of more it is a random
        choice.
    """

    lights: int = 1
    crops: int = 64
    pixels: int = 4096


@dataclass(frozen=True)
class Score:
    """How good a network is.

    Attributes
    ----------
    value : float
        1 is perfect, 0 is of no use.
    parts : dict
        The same by the name of each class or output.
    details : dict
        Other measures by their names, means over crops.
    """

    value: float
    parts: dict[str, float] = field(default_factory=dict)
    details: dict[str, float] = field(default_factory=dict)


class Task(ABC):
    """What is learned: the target, and how far from it an output is.

    Parameters
    ----------
    images : sequence
        Annotated images of the task's kind.
    classes : sequence of ClassInfo
        What is told apart.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train; the task sets its channels.

    Attributes
    ----------
    solves_head : bool
        Whether it can give a trained body a last layer, so that shipped weights serve.
    config : ModelConfig
        What the model file will say, with the channels of the network set.
    annotations : Annotations
        Where something is annotated, and which of it only scores.
    seed : int
        Chooses the crops that score.
    """

    solves_head: ClassVar[bool] = False
    config: ModelConfig
    annotations: Annotations
    seed: int
    _sampler: CropSampler

    @abstractmethod
    def __init__(
        self,
        images: Sequence[Any],
        classes: Sequence[ClassInfo],
        config: TrainingConfig,
        network: NetworkConfig,
    ) -> None: ...

    @property
    @abstractmethod
    def targets(self) -> Targets:
        """Where crops are drawn, and what their targets are."""

    @abstractmethod
    def batch(
        self, size: int, crop: Sequence[int], augment: Augmenter, device: torch.device
    ) -> tuple[Tensor, Any]:
        """Draw and vary crops.

        Parameters
        ----------
        size : int
            Number of crops.
        crop : sequence of int
            Edge per spatial axis.
        augment : Augmenter
            Varies them.
        device : torch.device
            Where they are wanted.

        Returns
        -------
        image : Tensor
            float32 (N, C, *spatial).
        target
            What `loss` takes.
        """

    @abstractmethod
    def loss(self, output: Tensor | tuple[Tensor, ...], target: Any) -> Tensor:
        """Return how far an output of the network is from its target, a scalar."""

    @abstractmethod
    def score(self, predict: Predict, crop: Sequence[int], *, held: bool) -> Score:
        """Score a network on a few crops, the same ones each time.

        Parameters
        ----------
        predict : callable
            From a crop (C, *spatial) to the network's output (K, *spatial), float32.
        crop : sequence of int
            Edge per spatial axis.
        held : bool
            Whether on what training never sees.
        """

    def usual_crops(self) -> tuple[int, tuple[int, ...]]:
        """Return how many crops a step takes unless it is set, and their edges."""
        ndim = self.config.network.ndim
        return DEFAULT_BATCH[ndim], DEFAULT_CROP[ndim]

    def usual_augmentation(self) -> AugmentationConfig:
        """Return how crops are varied unless it is set."""
        return usual_augmentation(self.config.task)

    def start(self, cache: BlockCache, seed: int) -> None:
        """Be ready to draw crops from images.

        Parameters
        ----------
        cache : BlockCache
            The normalised images.
        seed : int
            Of the sequence of crops.
        """
        self._sampler = CropSampler(self.targets, cache, seed)

    def painted_features(
        self, see: See, crop: Sequence[int], augment: Augmenter, look: Look
    ) -> tuple[Tensor, Tensor]:
        """Return what a linear classifier of features can be solved from.

        Parameters
        ----------
        see : callable
            From images (N, C, *spatial) to features (N, P, D) at P of their pixels, of
            which it gets the places in the flattened image, int64 (P,).
        crop : sequence of int
            Edge of the crops to look at, per spatial axis.
        augment : Augmenter
            Varies their light; on the device of what sees them.
        look : Look
            At how much.

        Returns
        -------
        features : Tensor
            float32 (V, P, D), at P pixels, first in the image as it is, then in V - 1
            other lights; on the CPU.
        classes : Tensor
            int64 (P,), what is painted there, indices from 0.

        Raises
        ------
        NotImplementedError
            Unless the task `solves_head`.
        """
        raise NotImplementedError

    def crops_anywhere(
        self, crop: Sequence[int], most: int
    ) -> Iterator[NDArray[np.float32]]:
        """Read crops at random places, as `CropSampler.anywhere` does."""
        return self._sampler.anywhere(crop, most, self.seed)

    def resume(self, config: ModelConfig) -> bool:
        """Go on with a model of an earlier run, if it is of the same kind.

        Returns
        -------
        bool
            Whether its weights can be taken over as they are.
        """
        if _kind(self.config) != _kind(config):
            return False
        seen = {"normalisation": config.normalisation}
        self.config = self.config.model_copy(update=seen)
        return True

    def refresh(self, number: int, samples: Collection[tuple[int, ...]] | None) -> None:
        """Take over what was annotated meanwhile on some samples of an image."""
        self.annotations.refresh(number, samples)
        self._sampler.refresh()

    def unscored(self) -> str:
        """Return one sentence if nothing can be held out; else nothing."""
        return ""

    def finish(
        self, config: ModelConfig, predict: Predict, crop: Sequence[int]
    ) -> ModelConfig:
        """Complete what the model file says with what was measured of the network."""
        return config

    def facts(self, score: float | None) -> dict[str, Any]:
        """Return what the model file shall tell of its training."""
        return {"held_out_score": score}

    def _score_crops(
        self, crop: Sequence[int], *, held: bool
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Choose the same few crops each time, spread over classes and samples."""
        random = np.random.default_rng(self.seed)
        places = [p for p in self.targets.by_class(held=held) if p]
        for found in places:
            for _ in range(max(1, SCORE_CROPS // len(places))):
                key, coordinates = found[random.integers(len(found))]
                centre = coordinates[random.integers(len(coordinates))]
                yield self._sampler.read(key, centre, crop, held=held)


def common_channels(images: Sequence[ImageSource]) -> int:
    """Return how many channels all images have.

    Raises
    ------
    UserError
        If they differ, or there is none.
    """
    if not images:
        raise UserError("There is no image to learn from; open one first.")
    channels = {image.n_channels for image in images}
    if len(channels) > 1:
        raise UserError(
            f"The images have {' and '.join(map(str, sorted(channels)))} channels; "
            "train on images with the same number of channels."
        )
    return channels.pop()


def with_channels(network: NetworkConfig, inputs: int, outputs: int) -> NetworkConfig:
    """Return a network's description with these channels."""
    return network.model_copy(update={"in_channels": inputs, "out_channels": outputs})


def _kind(config: ModelConfig) -> tuple[object, ...]:
    """Return what weights depend on; what a class is called and its colour are not."""
    classes = [(c.value, c.background) for c in config.classes]
    return config.task, config.network, classes
