"""When the classifier of features learned on photographs is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.head_solver import much_changed
from napari_fcn.engine.solved_head import (
    solve_logistic,
    suited_penalty,
    with_unseen,
)
from napari_fcn.engine.tasks.base import Look
from napari_fcn.networks.photo_features import photo_classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks import Task
    from napari_fcn.networks.photo_features import PhotoClassifier

_STRICTER = 10.0
"""How many times the penalty on features of a body; these are many more."""
_LEAST_DEVIATION = 0.1
"""Added to that of each feature; rectified mixtures of filters can be 0 nearly all over
what is painted, and large elsewhere."""
_PIXELS = 24000
"""Painted pixels of all classes, at the most, that it is solved from."""
_CROPS = 32
"""Crops, at the most, that it looks at."""
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
        for crop in dict.fromkeys(map(tuple, crops)):
            try:
                solved = self._solved(classifier, crop, augment)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                free_cache(augment.device)
                continue
            if solved is not None:
                classifier.set_weights(*solved)
                other.set_weights(*solved)
                self._worth, self._kept = _worth(now), False
            return

    def _is_time(self, now: Sequence[int]) -> bool:
        if self._kept and _worth(now) < self._worth:
            return False
        before = self._tried_on
        if [n > 0 for n in now] != [n > 0 for n in before]:
            return True
        return much_changed(now, before)

    def _solved(
        self, classifier: PhotoClassifier, crop: Sequence[int], augment: Augmenter
    ) -> tuple[Tensor, Tensor] | None:
        """Return weight and bias for what is painted, if two classes are."""
        number = len(self._task.config.classes)
        look = Look(crops=_CROPS, pixels=max(1, _PIXELS // (_CROPS * number)))
        features, classes = self._task.painted_features(
            classifier.seen_at, crop, augment, look
        )
        there, indices = classes.unique(return_inverse=True)
        if len(there) < 2:
            return None
        penalty = _STRICTER * suited_penalty(indices)
        solved = solve_logistic(features[0], indices, penalty, _LEAST_DEVIATION)
        return with_unseen(*solved, there, number)


def _worth(pixels: Sequence[int]) -> int:
    """Return how many pixels of classes tell something, each class as the rarest."""
    there = [n for n in pixels if n]
    return min(_PIXELS, len(there) * min(there, default=0))
