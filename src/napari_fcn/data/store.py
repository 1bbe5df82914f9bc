"""An integer array on disk that can be painted on: the labels and predictions store.

Chunks are held in memory once touched and written when `flush` is called, each one
atomically (zarr writes a temporary file and renames it). Reading a slice or painting a
stroke therefore costs what it costs with a numpy array, for arrays of any size.
"""

from __future__ import annotations

import itertools
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.errors import BaseZarrError

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Region = tuple[slice, ...]
"""A box in an array: one slice with start and stop per axis."""

_CHUNK_EDGE = 512


class ChunkStore:
    """A numpy-like view on a zarr array, with write-back on `flush`.

    Parameters
    ----------
    array : zarr.Array
        An array of integers whose missing chunks are zero.

    Attributes
    ----------
    shape, dtype, ndim, chunks
        As those of the array.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = tuple(array.chunks)
        self._cache: dict[tuple[int, ...], NDArray[Any]] = {}
        self._dirty: set[tuple[int, ...]] = set()
        self._on_disk = self._list_chunks()

    @classmethod
    def create(cls, path: Path | str, shape: tuple[int, ...], dtype: Any) -> ChunkStore:
        """Make an empty array at `path`, chunked for painting plane by plane."""
        edges = [1] * (len(shape) - 2) + [_CHUNK_EDGE] * min(2, len(shape))
        chunks = tuple(min(e, max(1, s)) for e, s in zip(edges, shape, strict=True))
        array = zarr.create_array(
            str(path), shape=shape, chunks=chunks, dtype=dtype, fill_value=0
        )
        return cls(array)

    @classmethod
    def open(cls, path: Path | str, *, writable: bool = True) -> ChunkStore:
        """Open the array at `path`.

        Raises
        ------
        UserError
            If there is no readable array.
        """
        try:
            array = zarr.open_array(str(path), mode="r+" if writable else "r")
        except (OSError, ValueError, KeyError, BaseZarrError) as error:
            raise UserError(
                f"The labels at {path} cannot be read ({error}); restore them from "
                "a copy."
            ) from error
        return cls(array)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    def dirty(self) -> bool:
        """Whether something has been painted that is not on disk yet."""
        return bool(self._dirty)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole as a numpy array."""
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read as numpy would; always a copy."""
        box, local = self._box_of(key)
        values = np.zeros([s.stop - s.start for s in box], self.dtype)
        for index, in_chunk, in_box in self._overlaps(box):
            chunk = self._chunk(index)
            if chunk is not None:
                values[in_box] = chunk[in_chunk]
        return values[local]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write as numpy would; on disk after the next `flush`."""
        box, local = self._box_of(key)
        values = self[box]
        before = values.copy()
        values[local] = value
        for index, in_chunk, in_box in self._overlaps(box):
            if np.array_equal(values[in_box], before[in_box]):
                continue
            self._writable_chunk(index)[in_chunk] = values[in_box]
            self._dirty.add(index)

    def flush(self) -> list[Region]:
        """Write what was painted to disk.

        Returns
        -------
        list of tuple of slice
            The regions written, one per chunk.

        Raises
        ------
        OSError
            If the disk refuses; what could not be written stays in memory and is
            tried again by the next call.
        """
        written = []
        for index in sorted(self._dirty):
            region = self._region(index)
            self._array[region] = self._cache[index]
            self._dirty.discard(index)
            self._on_disk.add(index)
            written.append(region)
        return written

    def reload(self, region: Region) -> None:
        """Forget what is held of a region, since another process wrote it."""
        for index, _, _ in self._overlaps(region):
            if index not in self._dirty:
                self._cache.pop(index, None)
                self._on_disk.add(index)

    def painted_chunks(self) -> list[Region]:
        """Return the regions of all chunks that may hold something but zero."""
        return [self._region(i) for i in sorted(self._on_disk | self._dirty)]

    def _list_chunks(self) -> set[tuple[int, ...]]:
        root = Path(str(self._array.store_path).removeprefix("file://")) / "c"
        found = set()
        for path in root.rglob("*"):
            parts = path.relative_to(root).parts
            if len(parts) == self.ndim and all(p.isdigit() for p in parts):
                found.add(tuple(int(p) for p in parts))
        return found

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any] | None:
        if index not in self._cache and index in self._on_disk:
            self._cache[index] = np.asarray(self._array[self._region(index)])
        return self._cache.get(index)

    def _writable_chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        chunk = self._chunk(index)
        if chunk is None:
            shape = [s.stop - s.start for s in self._region(index)]
            chunk = self._cache[index] = np.zeros(shape, self.dtype)
        elif not chunk.flags.writeable:
            chunk = self._cache[index] = chunk.copy()
        return chunk

    def _region(self, index: tuple[int, ...]) -> Region:
        return tuple(
            slice(i * c, min((i + 1) * c, s))
            for i, c, s in zip(index, self.chunks, self.shape, strict=True)
        )

    def _overlaps(
        self, box: Region
    ) -> Iterator[tuple[tuple[int, ...], Region, Region]]:
        """Yield chunk index, part inside the chunk, part inside the box."""
        ranges = [
            range(s.start // c, -(-s.stop // c)) if s.stop > s.start else range(0)
            for s, c in zip(box, self.chunks, strict=True)
        ]
        for index in itertools.product(*ranges):
            region = self._region(index)
            both = [
                (max(r.start, s.start), min(r.stop, s.stop))
                for r, s in zip(region, box, strict=True)
            ]
            in_chunk = tuple(
                slice(a - r.start, b - r.start)
                for (a, b), r in zip(both, region, strict=True)
            )
            in_box = tuple(
                slice(a - s.start, b - s.start)
                for (a, b), s in zip(both, box, strict=True)
            )
            yield index, in_chunk, in_box

    def _box_of(self, key: Any) -> tuple[Region, tuple[Any, ...]]:
        """Split a numpy index into a box to hold and an index into that box."""
        keys = _expand(key, self.ndim)
        parts = [_bound(k, size) for k, size in zip(keys, self.shape, strict=True)]
        return tuple(p[0] for p in parts), tuple(p[1] for p in parts)


def _expand(key: Any, ndim: int) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    given = sum(k is not Ellipsis for k in keys)
    if given > ndim:
        raise IndexError(f"too many indices: {given} for {ndim} axes")
    fill = [slice(None)] * (ndim - given)
    for position, k in enumerate(keys):
        if k is Ellipsis:
            return keys[:position] + fill + keys[position + 1 :]
    return keys + fill


def _bound(key: Any, size: int) -> tuple[slice, Any]:
    """Bound one axis' index: the slice that holds it, the index inside that slice."""
    if isinstance(key, slice):
        start, stop, step = key.indices(size)
        if step < 1:
            raise IndexError("steps must be positive")
        stop = max(start, stop)
        return slice(start, stop), slice(None, None, step)
    if isinstance(key, (np.ndarray, list)):
        positions = np.asarray(key)
        if positions.size == 0:
            return slice(0, 0), positions.astype(np.intp)
        positions = np.where(positions < 0, positions + size, positions)
        low, high = int(positions.min()), int(positions.max())
        _check(low, size)
        _check(high, size)
        return slice(low, high + 1), positions - low
    position = operator.index(key)
    position += size if position < 0 else 0
    _check(position, size)
    return slice(position, position + 1), 0


def _check(position: int, size: int) -> None:
    if not 0 <= position < size:
        raise IndexError(f"index {position} is out of bounds for size {size}")
