"""Where the user has painted what, and which strokes only score the network.

Painted pixels are found once per sample and kept as coordinates, so that drawing a
training crop costs the same for one stroke in a huge stack as for a dense mask. Pixels
are grouped into pieces: connected strokes of one class, or blocks of dense masks. Some
pieces are held out: training never sees them, they only score.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import Region

    Coordinates = NDArray[np.int64]

STROKE_CELL = 4
"""Edge in pixels of the grid on which strokes are joined to pieces."""
DENSE_CELL = 64
"""Edge in pixels of the blocks into which dense masks are split."""
PIECES_NEEDED = 6
"""How many pieces a class needs before some of them are held out."""
_MOST_KEPT = 20_000


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
    """

    image: ImageSource
    labels: Any
    dense: bool = False

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

    def painted_samples(self) -> list[tuple[int, ...]]:
        """Return the samples that may hold annotation, without reading pixels."""
        if self.dense or not isinstance(self.labels, ChunkStore):
            return list(self.image.samples())
        return sorted(
            {
                sample
                for region in self.labels.painted_chunks()
                for sample in samples_in(self.image, region)
            }
        )


def samples_in(image: ImageSource, region: Region) -> list[tuple[int, ...]]:
    """Return the samples that a region of the labels array touches."""
    positions = image.label_axes.samples(image.ndim)
    return list(product(*(range(region[p].start, region[p].stop) for p in positions)))


def find_values(images: Iterable[LabelledImage]) -> set[int]:
    """Return the numbers that count as classes: all, but 0 only in dense masks."""
    values: set[int] = set()
    for item in images:
        everywhere = item.image.whole()
        for sample in item.painted_samples():
            plane = item.image.read_labels(item.labels, sample, everywhere)
            found = {int(v) for v in np.unique(plane)}
            values |= found if item.dense else found - {0}
    return values


@dataclass
class _Pieces:
    """The annotation of one class in one sample.

    Attributes
    ----------
    coordinates : (n, ndim) int
        Painted pixels, thinned at random when there are very many.
    piece : (n,) int
        Which piece each pixel belongs to.
    cells : (m, ndim) int, cell_piece : (m,) int
        The same on the grid of cells, complete.
    sizes : (pieces,) int
        Pixels per piece.
    """

    coordinates: Coordinates
    piece: Coordinates
    cells: Coordinates
    cell_piece: Coordinates
    sizes: Coordinates
    held: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.held = np.zeros(len(self.sizes), dtype=bool)

    def train_coordinates(self) -> Coordinates:
        """Return the pixels that training may see."""
        return self.coordinates[~self.held[self.piece]]

    def held_coordinates(self) -> Coordinates:
        """Return the pixels that only score."""
        return self.coordinates[self.held[self.piece]]


def _find_pieces(painted: NDArray[np.bool_], dense: bool, seed: int) -> _Pieces | None:
    coordinates = np.argwhere(painted)
    if len(coordinates) == 0:
        return None
    edge = DENSE_CELL if dense else STROKE_CELL
    cells, cell_of = np.unique(coordinates // edge, axis=0, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    cell_piece = np.arange(len(cells)) if dense else _connect(cells)
    piece = cell_piece[cell_of]
    sizes = np.bincount(piece)
    if len(coordinates) > _MOST_KEPT:
        chosen = np.random.default_rng(seed).choice(
            len(coordinates), _MOST_KEPT, replace=False
        )
        coordinates, piece = coordinates[chosen], piece[chosen]
    return _Pieces(coordinates, piece, cells, cell_piece, sizes)


def _connect(cells: Coordinates) -> Coordinates:
    """Give touching cells, diagonals included, the same number."""
    pairs = cKDTree(cells).query_pairs(1.01, p=np.inf, output_type="ndarray")
    graph = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])),
        shape=(len(cells), len(cells)),
    )
    return connected_components(graph, directed=False)[1].astype(np.int64)


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
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        classes: Sequence[ClassInfo],
        *,
        held_out: float,
        seed: int = 0,
    ) -> None:
        self.images = list(images)
        self.classes = tuple(classes)
        self._held_out = held_out
        self._seed = seed
        self._pieces: dict[SampleKey, dict[int, _Pieces]] = {}
        self._held_places: set[tuple[Any, ...]] = set()
        self._lookup = _ClassLookup(self.classes)
        for number in range(len(self.images)):
            self._read(number, self.images[number].painted_samples())
        self._hold_out()

    def refresh(
        self, number: int, samples: Iterable[tuple[int, ...]] | None = None
    ) -> None:
        """Read again what was painted on some samples of an image.

        What was held out stays so; new strokes are for training, so that a
        correction is always learned.
        """
        item = self.images[number]
        self._read(number, item.painted_samples() if samples is None else samples)
        self._mark_held()

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
        cell = DENSE_CELL if item.dense else STROKE_CELL
        for index, pieces in self._pieces.get((number, sample), {}).items():
            mine = target == index
            secret = _rasterise(pieces, region, cell)
            target[mine & (secret != held)] = -1
        return target

    def class_pixels(self) -> list[int]:
        """Return the number of painted pixels of each class."""
        totals = [0] * len(self.classes)
        for per_class in self._pieces.values():
            for index, pieces in per_class.items():
                totals[index] += int(pieces.sizes.sum())
        return totals

    def missing_classes(self) -> list[ClassInfo]:
        """Return the classes that nobody has painted."""
        totals = self.class_pixels()
        return [c for c, n in zip(self.classes, totals, strict=True) if n == 0]

    def require_trainable(self) -> None:
        """Raise `UserError` unless at least two classes are painted."""
        painted = [
            c for c, n in zip(self.classes, self.class_pixels(), strict=True) if n
        ]
        if not painted:
            raise UserError("Nothing is painted yet; paint a stroke of each class.")
        if len(painted) == 1:
            raise UserError(
                f"Only {painted[0].name!r} is painted; paint at least one stroke of "
                "another class, too."
            )

    def by_class(self, *, held: bool) -> list[list[tuple[SampleKey, Coordinates]]]:
        """Return, per class, the painted pixels of each sample that has any."""
        result: list[list[tuple[SampleKey, Coordinates]]] = [[] for _ in self.classes]
        for key, per_class in self._pieces.items():
            for index, pieces in per_class.items():
                found = (
                    pieces.held_coordinates() if held else pieces.train_coordinates()
                )
                if len(found):
                    result[index].append((key, found))
        return result

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
        everywhere = item.image.whole()
        for sample in samples:
            values = item.image.read_labels(item.labels, sample, everywhere)
            target = self._lookup(values, item.dense)
            found = {}
            for index in range(len(self.classes)):
                pieces = _find_pieces(target == index, item.dense, self._seed)
                if pieces is not None:
                    found[index] = pieces
            self._pieces[number, sample] = found

    def _hold_out(self) -> None:
        """Choose pieces of each class until the wanted share of pixels is held out."""
        for index in range(len(self.classes)):
            places = [
                (key, piece, int(pieces.sizes[piece]))
                for key, per_class in self._pieces.items()
                if (pieces := per_class.get(index)) is not None
                for piece in range(len(pieces.sizes))
            ]
            if len(places) < PIECES_NEEDED or not self._held_out:
                continue
            places.sort(key=lambda p: self._rank(index, p[0], p[1]))
            left = self._held_out * sum(size for _, _, size in places)
            for key, piece, size in places[: len(places) // 2]:
                if left <= 0:
                    break
                if size > 2 * left:
                    continue
                left -= size
                pieces = self._pieces[key][index]
                cell = pieces.cells[pieces.cell_piece == piece][0]
                self._held_places.add((index, key, *(int(c) for c in cell)))
        self._mark_held()

    def _rank(self, index: int, key: SampleKey, piece: int) -> int:
        text = f"{self._seed}/{index}/{key}/{piece}"
        return zlib.crc32(text.encode())

    def _mark_held(self) -> None:
        for index, key, *cell in self._held_places:
            pieces = self._pieces.get(key, {}).get(index)
            if pieces is None:
                continue
            found = np.flatnonzero((pieces.cells == cell).all(axis=1))
            if len(found):
                pieces.held[pieces.cell_piece[found[0]]] = True


class _ClassLookup:
    """Turns painted numbers into class indices."""

    def __init__(self, classes: Sequence[ClassInfo]) -> None:
        self._values = np.array([c.value for c in classes], dtype=np.int64)
        self._order = np.argsort(self._values)
        background = [i for i, c in enumerate(classes) if c.background]
        self._background = background[0] if background else -1

    def __call__(self, values: NDArray[Any], dense: bool) -> NDArray[np.int64]:
        """Return class indices; -1 where not annotated or not a known class."""
        values = values.astype(np.int64)
        ordered = self._values[self._order]
        place = np.clip(np.searchsorted(ordered, values), 0, len(ordered) - 1)
        target = np.where(ordered[place] == values, self._order[place], -1)
        target[values == 0] = self._background if dense else -1
        return target


def _rasterise(
    pieces: _Pieces, region: tuple[slice, ...], cell: int
) -> NDArray[np.bool_]:
    """Return which pixels of a region lie in cells of held-out pieces."""
    shape = [s.stop - s.start for s in region]
    held = pieces.cells[pieces.held[pieces.cell_piece]]
    result = np.zeros(shape, dtype=bool)
    if not len(held):
        return result
    low = np.array([s.start // cell for s in region])
    high = np.array([(s.stop - 1) // cell for s in region])
    inside = held[((held >= low) & (held <= high)).all(axis=1)] - low
    grid = np.zeros(high - low + 1, dtype=bool)
    grid[tuple(inside.T)] = True
    for axis in range(grid.ndim):
        grid = np.repeat(grid, cell, axis=axis)
    start = [s.start - int(b) * cell for s, b in zip(region, low, strict=True)]
    return grid[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
