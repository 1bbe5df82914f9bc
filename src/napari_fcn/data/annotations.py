"""Where the user has painted what, and which strokes only score the network.

Painted pixels are found once per sample and kept as coordinates, so that drawing a
training crop costs the same for one stroke in a huge stack as for a dense mask. Pixels
are counted on a grid of cells. Cells form pieces: connected strokes of one class, or
blocks of dense masks. Some pieces are held out: training never sees what lies in their
cells, it only scores.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import Region

    Coordinates = NDArray[np.int32]
    Numbers = NDArray[np.int64]

STROKE_CELL = 4
"""Edge in pixels of the cells on which strokes are joined to pieces."""
DENSE_CELL = 64
"""Edge in pixels of the cells into which dense masks are split."""
PIECES_NEEDED = 6
"""How many pieces a class needs before some of them are held out."""
_MOST_KEPT = 20_000
_BLOCK_PIXELS = 1 << 22


@dataclass(frozen=True)
class LabelledImage:
    """An image with what was painted on it.

    Attributes
    ----------
    image : ImageSource
        The image.
    labels : array
        Integers of the image's label shape; numpy, zarr or `ChunkStore`.
    dense : bool
        Whether 0 is background everywhere, in place of not annotated.
    testing : tuple of tuple of slice
        Boxes of the labels that only score; nothing in them is ever learned from.
    """

    image: ImageSource
    labels: Any
    dense: bool = False
    testing: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        """Check that labels fit the image."""
        if tuple(self.labels.shape) != tuple(self.image.label_shape):
            raise UserError(
                f"The labels of {self.image.name} have shape "
                f"{tuple(self.labels.shape)} but the image needs "
                f"{tuple(self.image.label_shape)}; choose the labels of this image."
            )
        if np.dtype(self.labels.dtype).kind not in "uib":
            raise UserError(
                f"The labels of {self.image.name} are of type {self.labels.dtype}; "
                "save them as whole numbers."
            )

    def testing_in(self, sample: tuple[int, ...]) -> list[Region]:
        """Return the parts of a sample, in the order (Z,) Y, X, that only score."""
        axes, ndim = self.image.label_axes, self.image.ndim
        places = list(zip(axes.samples(ndim), sample, strict=True))
        return [
            tuple(box[axis] for axis in axes.spatial(ndim))
            for box in self.testing
            if all(box[axis].start <= i < box[axis].stop for axis, i in places)
        ]

    def painted_samples(self) -> list[tuple[int, ...]]:
        """Return the samples that may hold annotation, without reading pixels."""
        return list(self.painted_blocks())

    def painted_blocks(self) -> dict[tuple[int, ...], list[Region]]:
        """Return the parts of each sample that may hold annotation.

        No pixels are read for it, and none of the parts is large, so that they can
        be read one after the other whatever the size of the image.

        Returns
        -------
        dict
            From sample to spatial regions in the order (Z,) Y, X that do not overlap;
            samples without annotation are left out where that is known.
        """
        if self.dense or not isinstance(self.labels, ChunkStore):
            return dict.fromkeys(self.image.samples(), _slabs(self.image.spatial_shape))
        spatial = self.image.label_axes.spatial(self.image.ndim)
        found: dict[tuple[int, ...], list[Region]] = {}
        for chunk in self.labels.painted_chunks():
            for sample in samples_in(self.image, chunk):
                found.setdefault(sample, []).append(tuple(chunk[p] for p in spatial))
        return dict(sorted(found.items()))


def _slabs(shape: tuple[int, ...]) -> list[Region]:
    """Cut a sample along its first axis."""
    thickness = max(1, _BLOCK_PIXELS // math.prod(shape[1:]))
    rest = [slice(0, n) for n in shape[1:]]
    return [
        (slice(start, min(start + thickness, shape[0])), *rest)
        for start in range(0, shape[0], thickness)
    ]


def samples_in(image: ImageSource, region: Region) -> list[tuple[int, ...]]:
    """Return the samples that a region of the labels array touches."""
    positions = image.label_axes.samples(image.ndim)
    return list(product(*(range(region[p].start, region[p].stop) for p in positions)))


def find_values(images: Iterable[LabelledImage]) -> set[int]:
    """Return the numbers that count as classes: all, but 0 only in dense masks."""
    values: set[int] = set()
    for item in images:
        for sample, regions in item.painted_blocks().items():
            for region in regions:
                block = item.image.read_labels(item.labels, sample, region)
                found = {int(v) for v in np.unique(block)}
                values |= found if item.dense else found - {0}
    return values


@dataclass(frozen=True)
class _Grid:
    """Cells of equal edges over a sample, numbered in raster order.

    Attributes
    ----------
    edge : int
        Pixels along each edge.
    shape : tuple of int
        Cells along each axis.
    """

    edge: int
    shape: tuple[int, ...]

    @classmethod
    def over(cls, item: LabelledImage, *, whole: bool = False) -> _Grid:
        edge = DENSE_CELL if item.dense else STROKE_CELL
        if item.dense and whole:
            edge = max(item.image.spatial_shape)
        return cls(edge, tuple(-(-n // edge) for n in item.image.spatial_shape))

    def numbers(self, coordinates: NDArray[np.integer[Any]]) -> Numbers:
        """Return the number of the cell of each pixel."""
        return np.ravel_multi_index(tuple((coordinates // self.edge).T), self.shape)

    def positions(self, numbers: Numbers) -> Numbers:
        """Return where cells lie on the grid, (n, ndim)."""
        return np.stack(np.unravel_index(numbers, self.shape), axis=1)

    def count(self, mask: NDArray[np.bool_], region: Region) -> tuple[Numbers, Numbers]:
        """Return the cells with true pixels in a region, and how many in each."""
        counts: NDArray[Any] = mask
        for axis, part in enumerate(region):
            borders = np.arange(-(part.start % self.edge), mask.shape[axis], self.edge)
            borders[0] = 0
            counts = np.add.reduceat(counts, borders, axis=axis, dtype=np.int64)
        found = np.argwhere(counts)
        numbers = np.ravel_multi_index(
            tuple((found + [s.start // self.edge for s in region]).T), self.shape
        )
        return numbers, counts[tuple(found.T)]

    def draw(self, numbers: Numbers, region: Region) -> NDArray[np.bool_]:
        """Return which pixels of a region lie in these cells."""
        low = np.array([s.start // self.edge for s in region])
        high = np.array([-(-s.stop // self.edge) for s in region])
        cells = self.positions(numbers)
        cells = cells[((cells >= low) & (cells < high)).all(axis=1)] - low
        mask = np.zeros(high - low, dtype=bool)
        mask[tuple(cells.T)] = True
        for axis in range(mask.ndim):
            mask = mask.repeat(self.edge, axis=axis)
        starts = [
            s.start - int(a) * self.edge for s, a in zip(region, low, strict=True)
        ]
        return mask[
            tuple(
                slice(a, a + s.stop - s.start)
                for a, s in zip(starts, region, strict=True)
            )
        ]

    def connect(self, numbers: Numbers) -> Numbers:
        """Give touching cells, diagonals included, the same label.

        Parameters
        ----------
        numbers : (n,) int
            Ascending.
        """
        # One cell of margin keeps the end of a row from touching the next one.
        shape = [n + 1 for n in self.shape]
        strides = np.cumprod([1, *shape[:0:-1]])[::-1]
        places = self.positions(numbers) @ strides
        pairs = []
        for step in product((-1, 0, 1), repeat=len(shape)):
            if step > (0,) * len(shape):  # each pair once
                wanted = places + int(np.dot(step, strides))
                found = np.searchsorted(places, wanted)
                found[found == len(places)] = 0
                hit = np.flatnonzero(places[found] == wanted)
                pairs.append((hit, found[hit]))
        first, second = (np.concatenate(p) for p in zip(*pairs, strict=True))
        graph = coo_array(
            (np.ones(len(first), dtype=bool), (first, second)),
            shape=(len(numbers), len(numbers)),
        )
        return connected_components(graph, directed=False)[1].astype(np.int64)


@dataclass
class _Painted:
    """The annotation of one class in one sample.

    Attributes
    ----------
    coordinates : (n, ndim) int
        Painted pixels, thinned at random when there are very many.
    cell : (n,) int
        The number of the cell each of them lies in.
    cells : (m,) int
        The cells with any paint, ascending and complete.
    pixels : (m,) int
        Painted pixels in each of them.
    train, held : (k, ndim) int
        The coordinates that training may see, and those that only score.
    untested : int
        Painted pixels outside of boxes that are for testing; an estimate where
        coordinates were thinned.
    """

    coordinates: Coordinates
    cell: Numbers
    cells: Numbers
    pixels: Numbers
    train: Coordinates = field(init=False)
    held: Coordinates = field(init=False)
    untested: int = field(init=False)

    def hold_out(self, cells: Numbers, boxes: Sequence[Region] = ()) -> None:
        """Split the coordinates by whether they lie in these cells or boxes."""
        tested = np.zeros(len(self.coordinates), bool)
        for box in boxes:
            low, high = ([s.start for s in box], [s.stop for s in box])
            inside = (self.coordinates >= low) & (self.coordinates < high)
            tested |= inside.all(axis=1)
        self.untested = round(float(self.pixels.sum() * (1 - tested.mean())))
        secret = tested | np.isin(self.cell, cells)
        self.train, self.held = self.coordinates[~secret], self.coordinates[secret]


class _Collector:
    """Collects the pixels of one class in one sample, block by block."""

    def __init__(self, grid: _Grid, seed: int) -> None:
        self._grid = grid
        self._random = np.random.default_rng(seed)
        self._coordinates: Coordinates = np.empty((0, len(grid.shape)), np.int32)
        self._keys: NDArray[np.float64] = np.empty(0)
        self._cells: list[Numbers] = []
        self._pixels: list[Numbers] = []

    def add(self, mask: NDArray[np.bool_], region: Region) -> None:
        """Take over the pixels that are true in a block of the sample."""
        cells, pixels = self._grid.count(mask, region)
        self._cells.append(cells)
        self._pixels.append(pixels)
        # Those with the smallest random keys are kept, so that each pixel is as likely
        # as any other, whichever block it came in.
        flat = np.flatnonzero(mask)
        keys = self._random.random(len(flat))
        chosen = _smallest(keys)
        found = np.stack(np.unravel_index(flat[chosen], mask.shape), axis=1)
        found += [s.start for s in region]
        self._coordinates = np.concatenate([self._coordinates, found.astype(np.int32)])
        self._keys = np.concatenate([self._keys, keys[chosen]])
        kept = _smallest(self._keys)
        self._coordinates, self._keys = self._coordinates[kept], self._keys[kept]

    def result(self) -> _Painted:
        """Return what was found."""
        cells, place = np.unique(np.concatenate(self._cells), return_inverse=True)
        pixels = np.zeros(len(cells), np.int64)
        np.add.at(pixels, place, np.concatenate(self._pixels))
        numbers = self._grid.numbers(self._coordinates)
        return _Painted(self._coordinates, numbers, cells, pixels)


def _smallest(keys: NDArray[np.float64]) -> NDArray[np.intp] | slice:
    """Return where the smallest keys are, in their order if they are all kept."""
    if len(keys) <= _MOST_KEPT:
        return slice(None)
    return np.argpartition(keys, _MOST_KEPT)[:_MOST_KEPT]


SampleKey = tuple[int, tuple[int, ...]]
"""Which image, and which sample in it."""


class Annotations:
    """The painted pixels of all images, by class, some of them held out.

    Parameters
    ----------
    images : sequence of LabelledImage
        What was painted.
    classes : sequence of ClassInfo
        The classes; their order is that of the class indices.
    held_out : float
        Share of each class's pixels that only score.
    seed : int
        Decides which pieces those are.
    whole_samples : bool
        Whether the pieces of dense masks are whole samples in place of blocks.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        classes: Sequence[ClassInfo],
        *,
        held_out: float,
        seed: int = 0,
        whole_samples: bool = False,
    ) -> None:
        self.images = list(images)
        self.classes = tuple(classes)
        self._held_out = held_out
        self._seed = seed
        self._grids = [_Grid.over(item, whole=whole_samples) for item in self.images]
        self._painted: dict[SampleKey, dict[int, _Painted]] = {}
        self._held_cells: dict[tuple[SampleKey, int], Numbers] = {}
        self._held_pieces: dict[int, int] = {}
        self._lookup = _ClassLookup(self.classes)
        for number, item in enumerate(self.images):
            self._read(number, item.painted_samples())
        for index in range(len(self.classes)):
            self._hold_out(index)

    nothing = -1.0
    """The target's value where nothing is annotated."""
    when_empty = "Nothing is painted any more; paint a stroke of each class."
    """What to tell the user when everything has been erased."""

    def spatial_shape(self, number: int) -> tuple[int, ...]:
        """Return the size of an image's samples."""
        return self.images[number].image.spatial_shape

    def refresh(
        self, number: int, samples: Iterable[tuple[int, ...]] | None = None
    ) -> None:
        """Read again what was painted on some samples of an image.

        Cells that were held out stay so, whatever becomes of the strokes in them; all
        others are for training, so that a correction is always learned. Only when
        nothing else is left of a class is it trained on what was held out.

        Parameters
        ----------
        number : int
            Which image.
        samples : iterable of tuple of int, optional
            Which samples of it; all by default.
        """
        if samples is None:
            known = {sample for n, sample in self._painted if n == number}
            samples = sorted(known.union(self.images[number].painted_samples()))
        self._read(number, samples)
        for index, places in enumerate(self.by_class(held=False)):
            if not places:
                self._release(index)

    def target(
        self,
        number: int,
        sample: tuple[int, ...],
        region: tuple[slice, ...],
        held: bool,
    ) -> NDArray[np.int64]:
        """Return class indices of a region; -1 where not annotated.

        Parameters
        ----------
        number : int
            Which image.
        sample : tuple of int
            Which sample of it.
        region : tuple of slice
            Spatial region inside the image.
        held : bool
            False for what training may see, True for what only scores.
        """
        item = self.images[number]
        values = item.image.read_labels(item.labels, sample, region)
        target = self._lookup(values, item.dense)
        secret = np.zeros(target.shape, dtype=bool)
        for index in range(len(self.classes)):
            cells = self._held_cells.get(((number, sample), index))
            if cells is not None:
                drawn = self._grids[number].draw(cells, region)
                secret |= drawn & (target == index)
        for box in item.testing_in(sample):
            secret[_inside(box, region)] = True
        target[secret != held] = -1
        return target

    def class_pixels(self, *, testing: bool = True) -> list[int]:
        """Return the number of painted pixels of each class.

        Parameters
        ----------
        testing : bool
            Whether those count that are for testing only; without them it is an
            estimate in samples with very many.
        """
        totals = [0] * len(self.classes)
        for per_class in self._painted.values():
            for index, painted in per_class.items():
                number = painted.pixels.sum() if testing else painted.untested
                totals[index] += int(number)
        return totals

    def missing_classes(self) -> list[ClassInfo]:
        """Return the classes that nobody has painted."""
        totals = self.class_pixels()
        return [c for c, n in zip(self.classes, totals, strict=True) if n == 0]

    def require_trainable(self) -> None:
        """Raise `UserError` unless at least two classes are painted to be learned."""
        missing = self.missing_classes()
        if len(missing) == len(self.classes):
            raise UserError("Nothing is painted yet; paint a stroke of each class.")
        places = self.by_class(held=False)
        learned = [c for c, found in zip(self.classes, places, strict=True) if found]
        if not learned:
            raise UserError(
                "All that is painted is for testing only; paint a stroke of each class "
                "elsewhere, too."
            )
        if len(learned) > 1:
            return
        lacking = [c for c in self.classes if c not in learned]
        others = " or ".join(repr(c.name) for c in lacking) or "another class"
        elsewhere = ""
        if len(missing) < len(lacking):
            elsewhere = " outside of what is for testing only"
        raise UserError(
            f"Only {learned[0].name!r} is painted{elsewhere}; paint at least one "
            f"stroke of {others}{' there' if elsewhere else ''}, too."
        )

    def by_class(self, *, held: bool) -> list[list[tuple[SampleKey, Coordinates]]]:
        """Return, per class, the painted pixels of each sample that has any.

        Parameters
        ----------
        held : bool
            False for what training may see, True for what only scores.

        Returns
        -------
        list of list of (SampleKey, ndarray)
            Coordinates (n, ndim) int32 in the order (Z,) Y, X; thinned at random in
            samples with very many.
        """
        result: list[list[tuple[SampleKey, Coordinates]]] = [[] for _ in self.classes]
        for key, per_class in self._painted.items():
            for index, painted in per_class.items():
                found = painted.held if held else painted.train
                if len(found):
                    result[index].append((key, found))
        return result

    @property
    def held_pieces(self) -> int:
        """How many pieces were chosen to score only."""
        boxes = sum(len(item.testing) for item in self.images)
        return boxes + sum(self._held_pieces.values())

    def unscored_classes(self) -> list[ClassInfo]:
        """Return the painted classes with too few strokes to hold any out."""
        held = self.by_class(held=True)
        totals = self.class_pixels()
        return [
            c
            for c, places, n in zip(self.classes, held, totals, strict=True)
            if n and not places
        ]

    def _read(self, number: int, samples: Iterable[tuple[int, ...]]) -> None:
        item = self.images[number]
        blocks = item.painted_blocks()
        for sample in samples:
            found: dict[int, _Collector] = {}
            for region in blocks.get(sample, []):
                values = item.image.read_labels(item.labels, sample, region)
                target = self._lookup(values, item.dense)
                for index in np.flatnonzero(
                    np.bincount(target.ravel() + 1)[1:]
                ).tolist():
                    if index not in found:
                        found[index] = _Collector(self._grids[number], self._seed)
                    found[index].add(target == index, region)
            self._painted[number, sample] = {
                index: found[index].result() for index in sorted(found)
            }
            self._split((number, sample))

    def _hold_out(self, index: int) -> None:
        """Choose pieces of a class until the wanted share of its pixels is held out."""
        if self.by_class(held=True)[index]:
            return  # the user has said what scores this class
        pieces = list(self._pieces(index))
        if len(pieces) < PIECES_NEEDED or not self._held_out:
            return
        pieces.sort(key=lambda p: self._rank(index, p[0], int(p[1][0])))
        left = self._held_out * sum(pixels for _, _, pixels in pieces)
        chosen: dict[SampleKey, list[Numbers]] = {}
        for key, cells, pixels in pieces[: len(pieces) // 2]:
            if left <= 0:
                break
            if pixels > 2 * left:
                continue
            left -= pixels
            chosen.setdefault(key, []).append(cells)
        self._held_pieces[index] = sum(len(parts) for parts in chosen.values())
        for key, parts in chosen.items():
            self._held_cells[key, index] = np.sort(np.concatenate(parts))
            self._split(key)

    def _pieces(self, index: int) -> Iterator[tuple[SampleKey, Numbers, int]]:
        """Yield sample, cells and pixels of each piece of a class."""
        for key, per_class in self._painted.items():
            painted = per_class.get(index)
            if painted is None:
                continue
            piece = np.arange(len(painted.cells))
            if not self.images[key[0]].dense:
                piece = self._grids[key[0]].connect(painted.cells)
            order = np.argsort(piece, kind="stable")
            borders = np.flatnonzero(np.diff(piece[order])) + 1
            for part in np.split(order, borders):
                yield key, painted.cells[part], int(painted.pixels[part].sum())

    def _rank(self, index: int, key: SampleKey, cell: int) -> int:
        text = f"{self._seed}/{index}/{key}/{cell}"
        return zlib.crc32(text.encode())

    def _split(self, key: SampleKey) -> None:
        """Tell what is held out in a sample from what training may see."""
        for index, painted in self._painted[key].items():
            nothing = np.empty(0, np.int64)
            cells = self._held_cells.get((key, index), nothing)
            painted.hold_out(cells, self.images[key[0]].testing_in(key[1]))

    def _release(self, index: int) -> None:
        self._held_pieces.pop(index, None)
        for key in [k for k, i in self._held_cells if i == index]:
            del self._held_cells[key, index]
            self._split(key)


def _inside(box: Region, region: Region) -> Region:
    """Return the part of a region that lies in a box, counted from its start."""
    return tuple(
        slice(max(0, b.start - r.start), max(0, min(b.stop, r.stop) - r.start))
        for b, r in zip(box, region, strict=True)
    )


class _ClassLookup:
    """Turns painted numbers into class indices."""

    def __init__(self, classes: Sequence[ClassInfo]) -> None:
        self._indices = {c.value: i for i, c in enumerate(classes)}
        background = [i for i, c in enumerate(classes) if c.background]
        self._background = background[0] if background else None
        self._tables: dict[tuple[Any, bool], NDArray[np.int64]] = {}

    def __call__(self, values: NDArray[Any], dense: bool) -> NDArray[np.int64]:
        """Return class indices; -1 where not annotated or not a known class."""
        bits = 8 * values.dtype.itemsize
        if bits > 16:
            return self._search(values, dense)
        # Four times as fast or more: this runs on every crop.
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        table = self._tables.get((values.dtype, dense))
        if table is None:
            every = np.arange(2**bits, dtype=unsigned).astype(values.dtype)
            table = self._tables[values.dtype, dense] = self._search(every, dense)
        return table[values.astype(unsigned)]

    def _search(self, values: NDArray[Any], dense: bool) -> NDArray[np.int64]:
        target = np.full(values.shape, -1, np.int64)
        for value, index in self._indices.items():
            target[values == value] = index
        if not dense:
            target[values == 0] = -1
        elif self._background is not None:
            target[values == 0] = self._background
        return target
