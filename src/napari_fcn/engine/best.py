"""Which weights of a run are kept as its best."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

CHANCE = 0.3
"""Spread of the score of one held-out stroke, about; of n, divided by sqrt(n)."""


class BestWeights:
    """The latest weights whose score is not below the top by more than chance.

    A few strokes tell little: of weights whose scores do not differ by more than
    chance, the latest have learned most.

    Attributes
    ----------
    score : float, optional
        Of the weights kept; None before any, and after `forget`.
    weights : mapping, optional
        Those, tensors by name; None with the score.
    """

    def __init__(self) -> None:
        self.score: float | None = None
        self.weights: Mapping[str, Tensor] | None = None
        self._top = -1.0

    def offer(self, score: float, weights: Mapping[str, Tensor], pieces: int) -> None:
        """Keep a copy of weights if none before were clearly better.

        Parameters
        ----------
        score : float
            On what was held out.
        weights : mapping
            Tensors by name.
        pieces : int
            How many strokes the score is from.
        """
        self._top = max(self._top, score)
        if score >= self._top - CHANCE / math.sqrt(max(1, pieces)):
            self.score = score
            self.weights = copy.deepcopy(dict(weights))

    def forget(self) -> None:
        """Compare no weights with those from before the annotation changed."""
        self.score, self.weights, self._top = None, None, -1.0
