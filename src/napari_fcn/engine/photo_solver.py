"""When the classifier of features learned on photographs is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.head_solver import first_stroke, much_changed
from napari_fcn.engine.solved_head import (
    PENALTY,
    ridge,
    solve_logistic,
    suited_penalty,
    with_unseen,
)
from napari_fcn.networks.photo_features import photo_classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks import Task
    from napari_fcn.networks.photo_features import PhotoClassifier

_STRICTER = 10.0
"""How many times the penalty on features of a body; these are many more."""
_PIXELS = 12000
"""Painted pixels of a class, at the most, that it is solved from."""
_CROPS = 32
"""Crops, at the most, that it looks at."""
_SOLVED_ON, _KEPT = "photographs_solved_on", "photographs_kept"
"""A model file says on how many pixels, and whether for other images than these."""


def kept_until(training: Mapping[str, Any], *, own: bool) -> int:
    """Return how many pixels must be painted to replace what was solved before.

    Parameters
    ----------
    training : mapping
        What the model file, or the run, from before says of itself.
    own : bool
        Whether that was learned from the strokes at hand, which then know better.

    Returns
    -------
    int
        0 if any will do.
    """
    solved_on = training.get(_SOLVED_ON, 0)
    replaceable = own and not training.get(_KEPT, False)
    return 0 if replaceable or not isinstance(solved_on, int) else solved_on


class PhotoSolver:
    """Keeps the `PhotoClassifier` of a network up with what is painted.

    It is solved from painted pixels, and solved again when a class has its first stroke
    or has lost its last, or a tenth of what is painted has been added or erased. Pixels
    that are for testing only do not count.

    Parameters
    ----------
    task : Task
        It `solves_head`, or its network has no such classifier.
    kept_until : int
        What was solved before, on other images, stays while fewer pixels are painted.
    """

    def __init__(self, task: Task, kept_until: int = 0) -> None:
        self._task = task
        self._kept_until = kept_until
        self._solved_on: list[int] = []

    @property
    def facts(self) -> dict[str, object]:
        """What a model file should say of the classifier."""
        if self._kept_until:
            return {_SOLVED_ON: self._kept_until, _KEPT: True}
        return {_SOLVED_ON: sum(self._solved_on)} if self._solved_on else {}

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
        self._solved_on, self._kept_until = now, 0
        for crop in dict.fromkeys(map(tuple, crops)):
            try:
                solved = self._solved(classifier, crop, augment)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                free_cache(augment.device)
                continue
            if solved is not None:
                classifier.set(*solved)
                other.set(*solved)
            return

    def _is_time(self, now: Sequence[int]) -> bool:
        before = self._solved_on
        if not before:
            return sum(now) >= self._kept_until
        return (
            first_stroke(now, before)
            or first_stroke(before, now)
            or much_changed(now, before)
        )

    def _solved(
        self, classifier: PhotoClassifier, crop: Sequence[int], augment: Augmenter
    ) -> tuple[Tensor, Tensor] | None:
        """Return weight and bias for what is painted, if two classes are."""
        features, classes = self._task.painted_features(
            classifier.joined,
            crop,
            augment,
            crops=_CROPS,
            pixels=_PIXELS // _CROPS,
        )
        there, indices = classes.unique(return_inverse=True)
        if len(there) < 2:
            return None
        penalty = _STRICTER * max(PENALTY, suited_penalty(indices))
        precision = ridge(features.shape[-1], penalty)
        solved = solve_logistic(features[0], indices, precision)
        return with_unseen(*solved, there, len(self._task.config.classes))
