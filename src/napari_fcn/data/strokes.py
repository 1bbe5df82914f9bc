"""Labels that are painted stroke by stroke: each is kept whole, and can be undone."""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.journal import Journal
from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.data.store import Index, Region

    Part = tuple[Region, NDArray[Any], NDArray[Any]]

_LENGTH = struct.Struct("<I")
_MOST_UNDOABLE = 128 << 20
"""Bytes of labels that one undoable act may touch."""


class StrokeStore(ChunkStore):
    """A `ChunkStore` with a journal beside it.

    What is painted between two calls of `commit` or `flush` is a stroke: after a crash
    it is there as a whole or not at all. Acts on more than 128 MiB of labels, such as
    taking over a large dense mask, are not journalled: they cannot be undone, nor can
    what was painted before them.

    Parameters
    ----------
    array : zarr.Array
        An array of integers.
    journal : Path
        The file that holds the strokes.
    cache_bytes : int, optional
        As for `ChunkStore`.
    """

    def __init__(self, array: Any, journal: Path, **options: Any) -> None:
        super().__init__(array, **options)
        self._journal = Journal(journal)
        self._before: dict[Index, NDArray[Any] | None] = {}
        self._bytes = 0
        self._replaying = False
        for entry, forwards in self._journal.unwritten:
            self._replay(self._journal.content(entry), forwards)

    @property
    def dirty(self) -> bool:
        """Whether something has been painted that is not on disk yet."""
        return super().dirty or self._journal.pending

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to take back."""
        return bool(self._before) or self._journal.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a stroke that was taken back."""
        return not self._before and self._journal.can_redo

    def commit(self) -> None:
        """End a stroke: what is painted from now on is another."""
        with self._lock:
            before, self._before = self._before, {}
            too_large, self._bytes = self._bytes > _MOST_UNDOABLE, 0
            if too_large:
                self._journal.bar()
                return
            parts = [self._difference(i, b) for i, b in sorted(before.items())]
            changed = [part for part in parts if part is not None]
            if changed:
                self._journal.add(_pack(changed))

    def keep(self) -> None:
        """End the stroke and write it to the journal; from then on it is safe.

        Raises
        ------
        OSError
            If the disk refuses; the stroke stays in memory and is tried again.
        """
        self.commit()
        self._journal.write()

    def flush(self) -> list[Region]:
        """End the stroke and write it, first to the journal, then to the labels.

        Returns
        -------
        list of tuple of slice
            The regions written since the last call that returned, one per chunk.

        Raises
        ------
        OSError
            If the disk refuses; what could not be written stays in memory and is
            tried again by the next call.
        """
        self.keep()
        written = super().flush()
        if written:
            self._journal.mark_written()
        return written

    def undo(self) -> list[Region]:
        """Take back the last stroke.

        Returns
        -------
        list of tuple of slice
            Where it was; empty if there is nothing to take back.

        Raises
        ------
        UserError
            If the journal cannot be read.
        """
        self.commit()
        if not self._journal.can_undo:
            return []
        return self._replay(self._journal.undo(), forwards=False)

    def redo(self) -> list[Region]:
        """Paint the stroke again that was taken back last.

        Returns
        -------
        list of tuple of slice
            Where it is; empty if there is none.

        Raises
        ------
        UserError
            If the journal cannot be read.
        """
        self.commit()
        if not self._journal.can_redo:
            return []
        return self._replay(self._journal.redo(), forwards=True)

    def _paint(self, index: Index, in_chunk: Region, values: NDArray[Any]) -> None:
        if not self._replaying and index not in self._before:
            size = math.prod(self.chunks) * self.dtype.itemsize
            self._bytes += size
            chunk = None
            if self._bytes <= _MOST_UNDOABLE:
                chunk = self._chunk(index)
            self._before[index] = None if chunk is None else chunk.copy()
        super()._paint(index, in_chunk, values)

    def _difference(self, index: Index, before: NDArray[Any] | None) -> Part | None:
        """Return the box that has changed in a chunk, before and after."""
        after = self._chunk(index)
        if after is None:
            return None
        if before is None:
            before = np.zeros_like(after)
        box = _bounds(after != before)
        if box is None:
            return None
        starts = [r.start for r in self._region(index)]
        region = tuple(
            slice(s.start + a, s.stop + a) for s, a in zip(box, starts, strict=True)
        )
        return region, before[box], after[box]

    def _replay(self, content: bytes, forwards: bool) -> list[Region]:
        regions = []
        with self._lock:
            self._replaying = True
            try:
                for region, before, after in self._unpack(content):
                    self[region] = after if forwards else before
                    regions.append(region)
            finally:
                self._replaying = False
        return regions

    def _unpack(self, content: bytes) -> list[Part]:
        """Read a stroke; nothing in it is trusted."""
        try:
            (length,) = _LENGTH.unpack_from(content)
            boxes = json.loads(content[_LENGTH.size : _LENGTH.size + length])
            regions = [self._checked(box) for box in boxes]
            most = sum(2 * _size(r) for r in regions) * self.dtype.itemsize
            unzip = zlib.decompressobj()
            raw = unzip.decompress(content[_LENGTH.size + length :], most + 1)
            if len(raw) != most:
                raise ValueError("its length is wrong")
        except (ValueError, TypeError, IndexError, struct.error, zlib.error) as error:
            raise UserError(
                f"The history of strokes at {self._journal.path} is damaged ({error}); "
                "what is painted is not touched. Delete that file to go on."
            ) from error
        values = np.frombuffer(raw, self.dtype)
        parts, start = [], 0
        for region in regions:
            shape = [s.stop - s.start for s in region]
            halves = values[start : start + 2 * _size(region)].reshape(2, *shape)
            parts.append((region, halves[0], halves[1]))
            start += 2 * _size(region)
        return parts

    def _checked(self, box: Any) -> Region:
        starts, stops = box
        region = tuple(
            slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)
        )
        if not all(
            0 <= s.start < s.stop <= n for s, n in zip(region, self.shape, strict=True)
        ):
            raise ValueError("it lies outside of the labels")
        return region


def _bounds(mask: NDArray[np.bool_]) -> Region | None:
    """Return the smallest box that holds all true pixels."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        found = np.flatnonzero(mask.any(axis=others))
        if not len(found):
            return None
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)


def _size(region: Region) -> int:
    return math.prod(s.stop - s.start for s in region)


def _pack(parts: list[Part]) -> bytes:
    """Write boxes as JSON, their pixels before and after as compressed bytes."""
    boxes = [[[s.start for s in r], [s.stop for s in r]] for r, _, _ in parts]
    head = json.dumps(boxes).encode()
    squeeze = zlib.compressobj(1)
    body = [squeeze.compress(v.tobytes()) for p in parts for v in p[1:]]
    return b"".join([_LENGTH.pack(len(head)), head, *body, squeeze.flush()])
