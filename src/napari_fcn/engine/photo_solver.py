"""When the classifier of features learned on photographs is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.solved_head import (
    PENALTY,
    ridge,
    solve_logistic,
    suited_penalty,
    with_unseen,
)
from napari_fcn.engine.transfer import unknown_classes
from napari_fcn.networks.photo_features import photo_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from napari_fcn.config import ModelConfig
    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.checkpoint import Checkpoint
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.tasks import Task

_STRICTER = 10.0
"""How many times the penalty on features of a body; these are many more."""
_PIXELS = 8000
"""Painted pixels of a class, at the most, that it is solved from."""
_CHANGED = 0.1
"""It is solved again when so much of what is painted has changed."""


_KEPT = "photographs_kept"
"""Says of a model that what it makes of photographs' features is another model's."""


def photographs_kept(
    config: ModelConfig, init: Model | None, resumed: Checkpoint | None
) -> bool:
    """Tell whether what a network makes of photographs' features stays as it is.

    It does where a run starts, or has once started, from a model that knows all the
    classes: what is painted now would say less than all that it has learned from.

    Parameters
    ----------
    config : ModelConfig
        Of the run.
    init, resumed : Model, Checkpoint, optional
        What it starts from, or goes on with.
    """
    if resumed is not None:
        return bool(resumed.config.training.get(_KEPT, False))
    if init is None or not init.config.network.photo_features:
        return False
    return not unknown_classes(config, init.config)


class PhotoSolver:
    """Keeps the `PhotoClassifier` of a network up with what is painted.

    It is solved from all painted pixels, and solved again when a class has its first
    stroke or a tenth of what is painted has changed. Pixels that are for testing only
    do not count.

    Parameters
    ----------
    task : Task
        It `solves_head`, or its network has no such classifier.
    kept : bool
        Whether it stays as it is.

    Attributes
    ----------
    facts : dict
        What a model file should say of it.
    """

    def __init__(self, task: Task, *, kept: bool = False) -> None:
        self._task = task
        self._kept = kept
        self._solved_on: list[int] = []
        self.facts: dict[str, object] = {_KEPT: True} if kept else {}

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
        now = self._task.annotations.class_pixels(testing=False)
        waits = self._kept or not _much_changed(now, self._solved_on)
        if classifier is None or other is None or waits:
            return
        for crop in crops:
            try:
                painted = self._task.painted_features(classifier.joined, crop, augment)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                free_cache(augment.device)
                continue
            self._solved_on = now
            if len(painted[1].unique()) > 1:
                solved = _solved(*painted, len(now), augment.generator)
                classifier.set(*solved)
                other.set(*solved)
            return


def _solved(
    features: Tensor, classes: Tensor, number: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weight (number, D) and bias (number,) for features (1, P, D)."""
    chosen = _some_of_each(classes, generator)
    features, classes = features[0, chosen], classes[chosen]
    there, indices = classes.unique(return_inverse=True)
    penalty = _STRICTER * max(PENALTY, suited_penalty(indices))
    precision = ridge(features.shape[-1], penalty)
    solved = solve_logistic(features, indices, precision)
    return with_unseen(*solved, there, number)


def _much_changed(now: Sequence[int], before: Sequence[int]) -> bool:
    if not before:
        return True
    different = sum(abs(n - b) for n, b in zip(now, before, strict=True))
    first = any(n and not b for n, b in zip(now, before, strict=True))
    return first or 0 < different >= _CHANGED * sum(before)


def _some_of_each(classes: Tensor, generator: torch.Generator) -> Tensor:
    """Return the indices of the pixels of each class, of very many a random choice."""
    chosen = []
    for value in classes.unique():
        found = (classes == value).nonzero().squeeze(1)
        if len(found) > _PIXELS:
            found = found[torch.randperm(len(found), generator=generator)[:_PIXELS]]
        chosen.append(found)
    return torch.cat(chosen)
