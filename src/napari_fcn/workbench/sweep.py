"""A whole sample, predicted piece by piece beside what is on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari_fcn.data.store import Region
    from napari_fcn.engine.tiling import Tile


class Sweep:
    """Hands out the tiles of a sample that are not seen anyway, some in each round.

    A round that is cut short counts for nothing: its tiles are handed out again.

    Attributes
    ----------
    done : bool
        Whether every part of the sample has been predicted at least once.
    """

    def __init__(self) -> None:
        self.done = False
        self._place: Hashable = None
        self._left: Sequence[Tile] = ()
        self._after: Sequence[Tile] | None = None

    def take(
        self,
        place: Hashable,
        plan: Callable[[], Sequence[Tile]],
        seen: Region,
        most: int | None = None,
    ) -> Sequence[Tile]:
        """Return what the next round shall predict, besides what is seen.

        Parameters
        ----------
        place : hashable
            Of what the sample is; another one begins anew.
        plan : callable
            Returns tiles that cover the sample.
        seen : tuple of slice
            What the round predicts anyway.
        most : int, optional
            How many tiles; all of the sample, whatever is done, by default.
        """
        if place != self._place:
            self.done, self._place, self._left = False, place, ()
        if most is None or not self._left:
            self._left = plan()
        hidden = [tile for tile in self._left if not _inside(tile.core, seen)]
        taken = hidden[:most]
        self._after = hidden[len(taken) :]
        return taken

    def end_round(self) -> bool:
        """Note that the round was finished; returns whether all has been predicted."""
        if self._after is not None:
            self._left, self._after = self._after, None
            self.done = self.done or not self._left
        return self.done


def _inside(inner: Region, outer: Region) -> bool:
    return all(
        b.start <= a.start and a.stop <= b.stop
        for a, b in zip(inner, outer, strict=True)
    )
