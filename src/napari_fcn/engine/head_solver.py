"""When the last layer of a network is solved, and whether the solution is kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_fcn.engine.shipped import head_covariance
from napari_fcn.engine.solved_head import (
    balanced_accuracy,
    body_features_at,
    head_of,
    set_head,
    solve_head,
)
from napari_fcn.engine.tasks.base import Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks import Task

_MUCH_MORE = 1.5
"""It is solved anew when each class has so many times the pixels."""
_CONTRADICTED = 0.1
"""It is solved anew when that makes so much more of the painted pixels right."""
_TRY_AGAIN = 0.1
"""Solving on trial pays when so much of what is painted has changed."""
_LOOK = Look(lights=3)
"""Several channels, such as stains, are seen in three lights."""
_MANY = 1000
"""Painted pixels from which on the network learns quickly enough by itself."""


class HeadSolver:
    """Keeps the last layer of a network up with what is painted.

    The network began with the shipped weights, whose features have a prior of it.

    Of a class that had no stroke the network knows nothing, and what it knew from the
    first strokes is its own teacher and would be given up only slowly. So the last
    layer is solved anew when a class has its first stroke, and while fewer than 1000
    pixels are painted also

    - when each class has half as much again as when it was solved last. Where only some
      classes have grown, solving from many strokes of one class and few of another is
      less certain;
    - when strokes contradict the network: when the solution has a balanced accuracy on
      all painted pixels that is larger by 0.1 or more.

    Pixels that are for testing only do not count.

    With more painted the teacher weighs less, and what is added lies on errors: fitted
    to hard pixels, a linear layer loses more than it wins.

    Parameters
    ----------
    task : Task
        It `solves_head`.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._solved_on = self._tried_on = self._painted()

    def solve(
        self, network: nn.Module, crop: Sequence[int], augment: Augmenter
    ) -> None:
        """Solve the last layer of a network in evaluation mode, in place."""
        painted = self._painted_features(network, crop, augment)
        set_head(network, *self._solved(*painted))

    def solve_again(
        self, network: nn.Module, crop: Sequence[int], augment: Augmenter
    ) -> bool:
        """Solve it again if it is time to, as the class says.

        Parameters
        ----------
        network, crop, augment
            As `Task.painted_features` takes them; the layer is changed in place.

        Returns
        -------
        bool
            Whether the layer was changed.
        """
        now = self._painted()
        few = sum(now) < _MANY
        new = _first_stroke(now, self._solved_on)
        needed = new or (few and _much_more(now, self._solved_on))
        if not needed and not (few and much_changed(now, self._tried_on)):
            return False
        features, classes = self._painted_features(network, crop, augment)
        self._tried_on = now
        if len(classes.unique()) < 2:
            return False
        required = 0.0
        if not needed:
            before = balanced_accuracy(*head_of(network), features[0], classes)
            required = before + _CONTRADICTED
        if required > 1:
            return False
        solved = self._solved(features, classes)
        if balanced_accuracy(*solved, features[0], classes) < required:
            return False
        set_head(network, *solved)
        self._solved_on = now
        return True

    def _painted_features(
        self, network: nn.Module, crop: Sequence[int], augment: Augmenter
    ) -> tuple[Tensor, Tensor]:
        see = partial(body_features_at, network)
        return self._task.painted_features(see, crop, augment, _LOOK)

    def _painted(self) -> list[int]:
        return self._task.annotations.class_pixels(testing=False)

    def _solved(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        number = len(self._task.config.classes)
        return solve_head(features, classes, number, head_covariance())


def _first_stroke(now: Sequence[int], before: Sequence[int]) -> bool:
    """Return whether a class has its first pixels."""
    return any(n and not b for n, b in zip(now, before, strict=True))


def _much_more(now: Sequence[int], before: Sequence[int]) -> bool:
    """Return whether each class has many more pixels than before."""
    return all(n >= _MUCH_MORE * b for n, b in zip(now, before, strict=True))


def much_changed(now: Sequence[int], before: Sequence[int]) -> bool:
    """Return whether enough was painted or erased for solving again to pay."""
    different = sum(abs(n - b) for n, b in zip(now, before, strict=True))
    return 0 < different >= _TRY_AGAIN * sum(before)
