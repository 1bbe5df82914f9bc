"""Boxes of which only the number of objects is known: which pieces a step sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.density import pieces_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.dots import CountedBox

_MOST_PIECES = 16


@dataclass(frozen=True)
class Turn:
    """What of a box is seen in a step.

    Attributes
    ----------
    number : int
        Of the image.
    box : CountedBox
        The box.
    pieces : list of tuple of slice
        Parts of it, none larger than a crop.
    others : (K,) float32
        What was found in its other parts when they were seen last, by class; NaN
        until all were seen.
    position : int
        Of the box in its list.
    chosen : list of int
        Of the pieces among those of the box.
    """

    number: int
    box: CountedBox
    pieces: list[tuple[slice, ...]]
    others: NDArray[np.float32]
    position: int
    chosen: list[int]


class BoxTurns:
    """Takes boxes in turn, and the pieces of a large box in turn, too.

    A step has room for a few pieces only, but the count is of the whole box. So what
    was found in the other pieces is remembered from when they were seen last.

    Parameters
    ----------
    boxes : sequence of (int, CountedBox)
        Each with the number of its image.
    classes : int
        How many there are.
    """

    def __init__(self, boxes: Sequence[tuple[int, CountedBox]], classes: int) -> None:
        self._boxes = list(boxes)
        self._classes = classes
        self._turn = 0
        self._first = [0] * len(self._boxes)
        self._found = [self._nothing(0) for _ in self._boxes]

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self._boxes)

    def next(self, crop: Sequence[int]) -> Turn:
        """Return the next pieces of the next box, for crops of these edges."""
        position = self._turn % len(self._boxes)
        self._turn += 1
        number, box = self._boxes[position]
        pieces = pieces_of(box.region, crop)
        if len(self._found[position]) != len(pieces):
            self._found[position] = self._nothing(len(pieces))
        first = self._first[position]
        at_once = min(len(pieces), _MOST_PIECES)
        chosen = [(first + i) % len(pieces) for i in range(at_once)]
        self._first[position] = (first + at_once) % len(pieces)
        others = np.delete(self._found[position], chosen, axis=0).sum(0)
        parts = [pieces[i] for i in chosen]
        return Turn(number, box, parts, others, position, chosen)

    def remember(self, turn: Turn, found: NDArray[np.float32]) -> None:
        """Keep what was found, (pieces, K), in the pieces of a turn."""
        self._found[turn.position][turn.chosen] = found

    def _nothing(self, pieces: int) -> NDArray[np.float32]:
        return np.full((pieces, self._classes), np.nan, np.float32)
