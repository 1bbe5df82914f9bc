"""When the classifier of features learned on photographs is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.head_solver import much_changed
from napari_fcn.engine.solved_head import (
    PENALTY,
    solve_logistic,
    suited_penalty,
    with_unseen,
)
from napari_fcn.engine.tasks.base import Look
from napari_fcn.networks.photo_features import PHOTO_SHARE, photo_classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks import Task
    from napari_fcn.networks.photo_features import PhotoClassifier

_Result = TypeVar("_Result")

_STRICTER = 10.0
"""How many times the penalty on features of a body; these are many more."""
_LEAST_DEVIATION = 0.1
"""Added to that of each feature; rectified mixtures of filters can be 0 nearly all over
what is painted, and large elsewhere."""
_PIXELS = 24000
"""Painted pixels of all classes, at the most, that it is solved from."""
_CROPS = 32
"""Crops, at the most, that it looks at."""
_GLANCES = 6
"""Crops that tell how much of the images each class takes."""
_LEAST_SHARE = 0.01
"""That of a class that they do not show."""
_FREQUENT = 0.2
"""How much of the logarithm of its share is added to the logit of a class."""
_WORTH, _KEPT = "photographs_solved_on", "photographs_kept"
"""A model file says on how many pixels, and whether for other images than these."""


def known_before(training: Mapping[str, Any], *, own: bool) -> tuple[int, bool]:
    """Return what a classifier from before was solved on, and whether it is to stay.

    Parameters
    ----------
    training : mapping
        What the model file, or the run, from before says of itself.
    own : bool
        Whether that was learned from the strokes at hand, which then know better.

    Returns
    -------
    worth : int
        Pixels, as `PhotoSolver` counts them; 0 if unknown.
    kept : bool
        Whether the classifier stays until as many are painted.
    """
    worth = training.get(_WORTH)
    if type(worth) is not int or worth <= 0:
        return 0, False
    return min(worth, _PIXELS), not own or training.get(_KEPT) is True


class PhotoSolver:
    """Keeps the `PhotoClassifier` of a network up with what is painted.

    It is solved from painted pixels when a run starts, and again when a class has its
    first stroke or has lost its last, or when a tenth of what is painted was added or
    erased. Pixels that are for testing only do not count.

    For that each class counts the same, however rare it is. What is frequent is the
    more likely anywhere, so some of the logarithm of the share that each class takes of
    the images is added to the logits: a part of the correction of Saerens et al. 2002,
    "Adjusting the outputs of a classifier to new a priori probabilities". With few
    pixels painted it is less. Dense masks tell the shares; otherwise they are what the
    classifier predicts without it, on a few crops; where memory is short for these
    there is none.

    Parameters
    ----------
    task : Task
        It `solves_head`, or its network has no such classifier.
    worth : int
        On how many pixels it was solved before, each class counting as the rarest.
    kept : bool
        Whether it stays until as many are painted here.
    """

    def __init__(self, task: Task, worth: int = 0, *, kept: bool = False) -> None:
        self._task = task
        self._worth = worth
        self._kept = kept
        self._tried_on: list[int] = []

    @property
    def facts(self) -> dict[str, object]:
        """What a model file should say of the classifier."""
        kept = {_KEPT: True} if self._kept else {}
        return {_WORTH: self._worth, **kept} if self._worth else {}

    def follow(
        self,
        average: nn.Module,
        learning: nn.Module,
        crops: Sequence[Sequence[int]],
        augment: Augmenter,
    ) -> None:
        """Solve it if it is time to; where memory is short it stays as it is.

        Parameters
        ----------
        average, learning : nn.Module
            Both get it, if they have one.
        crops : sequence of sequence of int
            Edges of the crops to look at; the next ones where memory runs out.
        augment : Augmenter
            Of the run.
        """
        classifier, other = photo_classifier(average), photo_classifier(learning)
        if classifier is None or other is None:
            return
        now = self._task.annotations.class_pixels(testing=False)
        if not self._is_time(now):
            return
        self._tried_on = now
        both = (classifier, other)
        wanted = list(dict.fromkeys(map(tuple, crops)))
        solved = _first_that_fits(
            lambda crop: self._solved(classifier, crop, augment), wanted, augment
        )
        if solved is None:
            return
        weight, bias, trust = solved
        _set_weights(both, weight, bias)
        self._worth, self._kept = _worth(now), False
        shares = _first_that_fits(
            lambda crop: self._shares(classifier, crop, augment), wanted[-1:], augment
        )
        if shares is not None:
            _set_weights(both, weight, bias + trust * _favour(shares))

    def _is_time(self, now: Sequence[int]) -> bool:
        if self._kept and _worth(now) < self._worth:
            return False
        before = self._tried_on
        if [n > 0 for n in now] != [n > 0 for n in before]:
            return True
        return much_changed(now, before)

    def _solved(
        self, classifier: PhotoClassifier, crop: Sequence[int], augment: Augmenter
    ) -> tuple[Tensor, Tensor, float] | None:
        """Return weight and bias for what is painted, if two classes are.

        And how far these pixels are believed.
        """
        number = len(self._task.config.classes)
        look = Look(crops=_CROPS, pixels=max(1, _PIXELS // (_CROPS * number)))
        features, classes = self._task.painted_features(
            classifier.seen_at, crop, augment, look
        )
        there, indices = classes.unique(return_inverse=True)
        if len(there) < 2:
            return None
        penalty = suited_penalty(indices)
        solved = solve_logistic(
            features[0], indices, _STRICTER * penalty, _LEAST_DEVIATION
        )
        weight, bias = with_unseen(*solved, there, number)
        return weight, bias, PENALTY / penalty

    def _shares(
        self, classifier: PhotoClassifier, crop: Sequence[int], augment: Augmenter
    ) -> Tensor:
        """Return how much of the images each class takes, (K,)."""
        annotations = self._task.annotations
        if all(item.dense for item in annotations.images):
            pixels = torch.tensor(annotations.class_pixels(testing=False))
        else:
            pixels = self._predicted_pixels(classifier, crop, augment)
        return pixels / pixels.sum()

    def _predicted_pixels(
        self, classifier: PhotoClassifier, crop: Sequence[int], augment: Augmenter
    ) -> Tensor:
        """Return how many pixels of some crops a classifier takes for each class."""
        number = len(self._task.config.classes)
        pixels = torch.zeros(number, dtype=torch.int64)
        with torch.inference_mode():
            for image in self._task.crops_anywhere(crop, _GLANCES):
                logits = classifier(torch.from_numpy(image)[None].to(augment.device))
                found = logits[0].argmax(0).flatten().cpu()
                pixels += torch.bincount(found, minlength=number)
        return pixels


def _favour(shares: Tensor) -> Tensor:
    """Return what to add to the biases of a classifier, given the shares of classes.

    What is seen is a mean in which the classifier has one part only.
    """
    return _FREQUENT / PHOTO_SHARE * shares.clamp(min=_LEAST_SHARE).log()


def _set_weights(
    classifiers: Sequence[PhotoClassifier], weight: Tensor, bias: Tensor
) -> None:
    for classifier in classifiers:
        classifier.set_weights(weight, bias)


def _first_that_fits(
    action: Callable[[tuple[int, ...]], _Result],
    crops: Sequence[tuple[int, ...]],
    augment: Augmenter,
) -> _Result | None:
    """Do something with the first of these crops that memory suffices for."""
    for crop in crops:
        try:
            return action(crop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            free_cache(augment.device)
    return None


def _worth(pixels: Sequence[int]) -> int:
    """Return how many pixels of classes tell something, each class as the rarest."""
    there = [n for n in pixels if n]
    return min(_PIXELS, len(there) * min(there, default=0))
