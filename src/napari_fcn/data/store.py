"""An integer array on disk that can be painted on: the labels and predictions store.

Painted chunks are held in memory until `flush` writes them, each one atomically (zarr
writes a temporary file and renames it). Chunks that were only read are kept, too, the
least recently used of them forgotten first. Reading a slice or painting a stroke
therefore costs what it costs with a numpy array, for arrays of any size.

Each chunk has one writer: when two processes paint on the same chunk, the last flush
wins.
"""

from __future__ import annotations

import itertools
import math
import mmap
import operator
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import BaseZarrError
from zarr.storage import LocalStore

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

Index = tuple[int, ...]
"""Where a chunk is in the grid of chunks."""

Region = tuple[slice, ...]
"""A box in an array: one slice with start and stop per axis."""

_CHUNK_EDGE = 512
_CACHE_BYTES = 1 << 28
_LARGE = 1 << 20


class ChunkStore:
    """A numpy-like view on a zarr array, with write-back on `flush`.

    All methods may be called from several threads; in particular, one may `flush`
    while another paints.

    Parameters
    ----------
    array : zarr.Array
        An array of integers.
    cache_bytes : int
        How much of what is on disk, too, to keep in memory at the most. What has been
        painted since the last flush is kept in any case.

    Attributes
    ----------
    shape, dtype, ndim, chunks
        As those of the array.
    """

    def __init__(
        self, array: zarr.Array[Any], *, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = tuple(array.chunks)
        self._clean = _Cache(cache_bytes)
        self._dirty: dict[Index, NDArray[Any]] = {}
        # Chunks painted on since their last writing began.
        self._changed: set[Index] = set()
        # Chunks written but not yet returned by a `flush`, because it failed.
        self._unreported: set[Index] = set()
        self._on_disk = set(_chunks_on_disk(array))
        self._lock = threading.RLock()  # for the fields above, not while writing
        self._flushing = threading.Lock()

    @classmethod
    def create(
        cls,
        path: Path | str,
        shape: tuple[int, ...],
        dtype: Any,
        *,
        cache_bytes: int = _CACHE_BYTES,
    ) -> ChunkStore:
        """Make an empty array at `path`, chunked for painting plane by plane.

        Raises
        ------
        UserError
            If there is one already, or the folder cannot be written.
        """
        edges = [1] * (len(shape) - 2) + [_CHUNK_EDGE] * min(2, len(shape))
        chunks = tuple(min(e, max(1, s)) for e, s in zip(edges, shape, strict=True))
        try:
            array = zarr.create_array(
                str(path),
                shape=shape,
                chunks=chunks,
                dtype=dtype,
                fill_value=0,
                # The checksum tells damaged chunks from painted ones.
                compressors=ZstdCodec(level=0, checksum=True),
            )
        except (OSError, BaseZarrError) as error:
            raise UserError(
                f"Labels cannot be made at {path} ({error}); make room there or choose "
                "another folder."
            ) from error
        return cls(array, cache_bytes=cache_bytes)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        writable: bool = True,
        cache_bytes: int = _CACHE_BYTES,
    ) -> ChunkStore:
        """Open the array at `path`.

        Raises
        ------
        UserError
            If there is no readable array.
        """
        try:
            array = zarr.open_array(str(path), mode="r+" if writable else "r")
        except (
            *(OSError, BaseZarrError),
            # What zarr raises depends on what is wrong in the file's JSON.
            *(ValueError, KeyError, TypeError, AttributeError),
        ) as error:
            raise UserError(
                f"The labels at {path} cannot be read ({error}); restore them from "
                "a copy."
            ) from error
        return cls(array, cache_bytes=cache_bytes)

    @property
    def array(self) -> zarr.Array[Any]:
        """The array on disk, without what has been painted since the last flush."""
        return self._array

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def dirty(self) -> bool:
        """Whether something has been painted that is not on disk yet."""
        return bool(self._dirty)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole as a numpy array."""
        if copy is False:
            raise ValueError("what is on disk cannot become an array without a copy")
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        """Read as numpy would; always a copy.

        Raises
        ------
        UserError
            If a file is damaged.
        """
        box, local = _box_of(key, self.shape)
        return self._read(box)[local]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write as numpy would; on disk after the next `flush`.

        Raises
        ------
        ValueError
            If the array was opened for reading only, or the value does not fit.
        UserError
            If a file is damaged.
        """
        if self._array.read_only:
            raise ValueError("assignment destination is read-only")
        box, local = _box_of(key, self.shape)
        with self._lock:
            values = self._read(box)
            values[local] = value
            for index in self._touched(box):
                in_chunk, in_box = self._overlap(index, box)
                self._paint(index, in_chunk, values[in_box])

    def flush(self) -> list[Region]:
        """Write what was painted to disk.

        Painting may go on meanwhile in another thread; what is painted on a chunk
        while it is being written is left for the next call.

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
        with self._flushing:
            failure: OSError | None = None
            with self._lock:
                waiting = sorted(self._dirty)
            for index in waiting:
                try:
                    self._write(index)
                except OSError as error:  # other chunks may still be written
                    failure = failure or error
            if failure is not None:
                raise failure
            written = [self._region(i) for i in sorted(self._unreported)]
            self._unreported.clear()
            return written

    def reload(self, region: Region) -> None:
        """Forget what is held of a region, since another process wrote it.

        Chunks with paint that is not on disk yet stay as they are here.
        """
        box, _ = _box_of(region, self.shape)
        with self._lock:
            for index in self._touched(box):
                self._on_disk.add(index)
                self._clean.drop(index)

    def painted_chunks(self) -> list[Region]:
        """Return the regions of all chunks that may hold something but zero."""
        with self._lock:
            found = self._on_disk.union(self._dirty)
        return [self._region(i) for i in sorted(found)]

    def _read(self, box: Region) -> NDArray[Any]:
        """Return a copy of a box."""
        values = _zeros([s.stop - s.start for s in box], self.dtype)
        for index in self._touched(box):
            with self._lock:
                chunk = self._chunk(index)
                if chunk is not None:
                    in_chunk, in_box = self._overlap(index, box)
                    values[in_box] = chunk[in_chunk]
        return values

    def _paint(self, index: Index, in_chunk: Region, values: NDArray[Any]) -> None:
        chunk = self._chunk(index)
        if chunk is None:
            if not values.any():
                return
            shape = [s.stop - s.start for s in self._region(index)]
            chunk = np.zeros(shape, self.dtype)
        elif np.array_equal(chunk[in_chunk], values):
            return
        chunk[in_chunk] = values
        self._clean.drop(index)
        self._dirty[index] = chunk
        self._changed.add(index)

    def _write(self, index: Index) -> None:
        """Write one chunk, without holding up those who paint."""
        with self._lock:
            self._changed.discard(index)
            values = self._dirty[index].copy()
        self._array[self._region(index)] = values
        with self._lock:
            self._on_disk.add(index)
            self._unreported.add(index)
            if index not in self._changed:
                self._clean.put(index, self._dirty.pop(index))

    def _chunk(self, index: Index) -> NDArray[Any] | None:
        """Return a chunk; None when it holds nothing but zero."""
        chunk = self._dirty.get(index)
        if chunk is None:
            chunk = self._clean.get(index)
        if chunk is None and index in self._on_disk:
            chunk = self._load(index)
            self._clean.put(index, chunk)
        return chunk

    def _load(self, index: Index) -> NDArray[Any]:
        try:
            values = self._array[self._region(index)]
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            name = self._array.metadata.encode_chunk_key(index)
            raise UserError(
                f"The file {name} of the labels at {self._array.store_path} cannot be "
                f"read ({error}); restore it from a copy, or delete it and paint "
                "there anew."
            ) from error
        return np.require(values, requirements="W")

    def _region(self, index: Index) -> Region:
        return tuple(
            slice(i * c, min((i + 1) * c, s))
            for i, c, s in zip(index, self.chunks, self.shape, strict=True)
        )

    def _touched(self, box: Region) -> Iterator[Index]:
        """Yield the chunks that a box touches."""
        ranges = [
            range(s.start // c, -(-s.stop // c)) if s.stop > s.start else range(0)
            for s, c in zip(box, self.chunks, strict=True)
        ]
        return itertools.product(*ranges)

    def _overlap(self, index: Index, box: Region) -> tuple[Region, Region]:
        """Return the part of a box in a chunk, counted inside each of them."""
        in_chunk, in_box = [], []
        for i, edge, s in zip(index, self.chunks, box, strict=True):
            low, high = max(i * edge, s.start), min((i + 1) * edge, s.stop)
            in_chunk.append(slice(low - i * edge, high - i * edge))
            in_box.append(slice(low - s.start, high - s.start))
        return tuple(in_chunk), tuple(in_box)


def _zeros(shape: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros whose memory is taken only where it is used.

    `numpy.zeros` leaves that to the C library, which after some use writes them all.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return np.zeros(shape, dtype)
    return np.frombuffer(_fresh_memory(size), dtype).reshape(shape)


def _fresh_memory(size: int) -> mmap.mmap:
    """Return bytes of zero that no other process shares, in large pages if possible.

    Large ones make a sparsely painted plane some ten times as quick to read and draw.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class _Cache:
    """Chunks by index up to a number of bytes, the latest used of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._chunks: OrderedDict[Index, NDArray[Any]] = OrderedDict()

    def get(self, index: Index) -> NDArray[Any] | None:
        if index in self._chunks:
            self._chunks.move_to_end(index)
        return self._chunks.get(index)

    def put(self, index: Index, chunk: NDArray[Any]) -> None:
        self.drop(index)
        self._chunks[index] = chunk
        self._bytes += chunk.nbytes
        while self._bytes > self._most:
            self._bytes -= self._chunks.popitem(last=False)[1].nbytes

    def drop(self, index: Index) -> None:
        chunk = self._chunks.pop(index, None)
        if chunk is not None:
            self._bytes -= chunk.nbytes


def _chunks_on_disk(array: zarr.Array[Any]) -> Iterable[Index]:
    """List the chunks that have a file; all where files cannot be told by name."""
    grid = [-(-s // c) for s, c in zip(array.shape, array.chunks, strict=True)]
    first = "/".join(["c", *("0" for _ in grid)])
    if (
        not isinstance(array.store, LocalStore)
        or array.metadata.encode_chunk_key((0,) * len(grid)) != first
        or array.shards is not None
        or array.fill_value  # what is missing is not zero
        or not grid
    ):
        yield from itertools.product(*(range(n) for n in grid))
        return
    folder = array.store.root / array.path / "c"
    for path in folder.glob("/".join("*" * len(grid))):
        parts = path.relative_to(folder).parts
        if all(p.isdecimal() and int(p) < n for p, n in zip(parts, grid, strict=True)):
            yield tuple(int(p) for p in parts)


def _box_of(key: Any, shape: tuple[int, ...]) -> tuple[Region, tuple[Any, ...]]:
    """Split a numpy index into a box to hold and an index into that box."""
    keys = _one_per_axis(key, shape)
    parts = [_bound(k, size) for k, size in zip(keys, shape, strict=True)]
    return tuple(p[0] for p in parts), tuple(p[1] for p in parts)


def _one_per_axis(key: Any, shape: tuple[int, ...]) -> list[Any]:
    """Fill in what an index leaves out; masks become the positions they hold."""
    keys = [
        np.asarray(k) if isinstance(k, (list, np.ndarray)) else k
        for k in (key if isinstance(key, tuple) else (key,))
    ]
    masks = [isinstance(k, np.ndarray) and k.dtype == bool and k.ndim > 0 for k in keys]
    spans = [
        k.ndim if m else int(k is not ...) for k, m in zip(keys, masks, strict=True)
    ]
    missing = len(shape) - sum(spans)
    dots = [position for position, k in enumerate(keys) if k is ...]
    if missing < 0 or len(dots) > 1:
        raise IndexError(f"the index {key} does not fit {len(shape)} axes")
    result: list[Any] = []
    for k, mask, span in zip(keys, masks, spans, strict=True):
        if mask and k.shape != shape[len(result) : len(result) + span]:
            raise IndexError(f"a mask of shape {k.shape} does not fit {shape}")
        if k is ...:
            result += [slice(None)] * missing
        else:
            result += k.nonzero() if mask else [k]
    return result + [slice(None)] * (len(shape) - len(result))


def _bound(key: Any, size: int) -> tuple[slice, Any]:
    """Bound one axis' index: the slice that holds it, the index inside that slice."""
    if isinstance(key, slice):
        inside = range(size)[key]
        ends = sorted((inside[0], inside[-1])) if inside else (0, -1)
        return slice(ends[0], ends[1] + 1), slice(None, None, inside.step)
    if isinstance(key, np.ndarray):
        return _bound_positions(key, size)
    if isinstance(key, (bool, np.bool_)) or key is None:
        raise IndexError(f"{key} is not a valid index here")
    position = operator.index(key)
    position += size if position < 0 else 0
    _check(position, size)
    return slice(position, position + 1), 0


def _bound_positions(key: NDArray[Any], size: int) -> tuple[slice, NDArray[Any]]:
    if key.size == 0:
        return slice(0, 0), key.astype(np.intp)
    if key.dtype.kind not in "iu":
        raise IndexError(f"positions must be integers, not {key.dtype}")
    wide = key.astype(np.intp)
    low = int(wide.min())
    if low < 0:
        wide = np.where(wide < 0, wide + size, wide)
        low = int(wide.min())
    high = int(wide.max())
    _check(low, size)
    _check(high, size)
    return slice(low, high + 1), wide - low


def _check(position: int, size: int) -> None:
    if not 0 <= position < size:
        raise IndexError(f"index {position} is out of bounds for size {size}")
