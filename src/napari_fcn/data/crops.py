"""Training crops drawn around painted pixels, balanced over the classes."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain, cycle, islice, zip_longest
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.annotations import Coordinates, SampleKey
    from napari_fcn.data.normalisation import Normalisation
    from napari_fcn.data.source import ImageSource

_BLOCK = {2: (256, 256), 3: (16, 128, 128)}
_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Crops:
    """A batch of crops.

    Attributes
    ----------
    image : (N, C, ...) float32
        Normalised intensities.
    target : (N, ...)
        What the task takes for a target, such as class indices.
    """

    image: NDArray[np.float32]
    target: NDArray[Any]


class Targets(Protocol):
    """Where crops are drawn, and what a network shall make of them."""

    @property
    def nothing(self) -> float:
        """The target's value outside of the image."""

    @property
    def when_empty(self) -> str:
        """What to tell the user when everything has been erased."""

    def spatial_shape(self, number: int) -> tuple[int, ...]:
        """Return the size of an image's samples."""

    def by_class(self, *, held: bool) -> list[list[tuple[SampleKey, Coordinates]]]:
        """Return, per class, the middles of crops in each sample that has any."""

    def target(
        self,
        number: int,
        sample: tuple[int, ...],
        region: tuple[slice, ...],
        held: bool,
    ) -> NDArray[Any]:
        """Return the target of a region, (..., *region)."""


def fingerprint(targets: Targets) -> int:
    """Return a number that is another one if other pixels are learned from."""
    found = 0
    for places in targets.by_class(held=False):
        for key, coordinates in places:
            found = zlib.crc32(repr(key).encode(), found)
            found = zlib.crc32(coordinates.tobytes(), found)
        found = zlib.crc32(b";", found)
    return found


class BlockCache:
    """Normalised blocks of images, the most recently used kept in memory.

    Parameters
    ----------
    images : sequence of ImageSource
        Where blocks are read from.
    normalisations : sequence of Normalisation
        One per image.
    most : int
        Bytes to keep at the most.
    """

    def __init__(
        self,
        images: Sequence[ImageSource],
        normalisations: Sequence[Normalisation],
        most: int = _CACHE_BYTES,
    ) -> None:
        self._images = images
        self._normalisations = normalisations
        self._most = most
        self._bytes = 0
        self._blocks: OrderedDict[tuple[object, ...], NDArray[np.float32]] = (
            OrderedDict()
        )

    def read(self, key: SampleKey, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return a normalised region (C, ...) of a sample."""
        number, _ = key
        image = self._images[number]
        edges = _BLOCK[len(region)]
        shape = [s.stop - s.start for s in region]
        result = np.empty((image.n_channels, *shape), np.float32)
        ranges = [
            range(s.start // e, -(-s.stop // e))
            for s, e in zip(region, edges, strict=True)
        ]
        for index in np.ndindex(*(len(r) for r in ranges)):
            position = tuple(r[i] for r, i in zip(ranges, index, strict=True))
            block, box = self._block(key, position, edges)
            source, target = [slice(None)], [slice(None)]
            for want, have in zip(region, box, strict=True):
                low, high = max(want.start, have.start), min(want.stop, have.stop)
                source.append(slice(low - have.start, high - have.start))
                target.append(slice(low - want.start, high - want.start))
            result[tuple(target)] = block[tuple(source)]
        return result

    def _block(
        self, key: SampleKey, position: tuple[int, ...], edges: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
        number, sample = key
        image = self._images[number]
        box = tuple(
            slice(p * e, min((p + 1) * e, s))
            for p, e, s in zip(position, edges, image.spatial_shape, strict=True)
        )
        name = (*key, *position)
        if name in self._blocks:
            self._blocks.move_to_end(name)
            return self._blocks[name], box
        normalisation = self._normalisations[number].of(sample)
        block = normalisation.apply(image.read(sample, box))
        self._blocks[name] = block
        self._bytes += block.nbytes
        while self._bytes > self._most and len(self._blocks) > 1:
            self._bytes -= self._blocks.popitem(last=False)[1].nbytes
        return block, box


class CropSampler:
    """Draws crops so that every class, however rarely painted, is seen equally often.

    Parameters
    ----------
    targets : Targets
        Where what is annotated, such as `Annotations`.
    cache : BlockCache
        The images.
    seed : int
        Of the sequence of crops.
    """

    def __init__(self, targets: Targets, cache: BlockCache, seed: int) -> None:
        self._targets = targets
        self._cache = cache
        self._random = np.random.default_rng(seed)
        self._turn = 0
        self.refresh()

    def refresh(self) -> None:
        """Take over what was painted or erased meanwhile."""
        places = self._targets.by_class(held=False)
        self._places = [found for found in places if found]

    def draw(self, batch: int, crop: Sequence[int]) -> Crops:
        """Draw crops around painted pixels.

        Parameters
        ----------
        batch : int
            Number of crops.
        crop : sequence of int
            Edge per spatial axis; where the image is smaller it is extended by
            reflection, and the target by what stands for "not annotated".

        Raises
        ------
        UserError
            If everything has been erased.
        """
        if not self._places:
            raise UserError(self._targets.when_empty)
        drawn = [self._draw_one(crop) for _ in range(batch)]
        return Crops(
            np.stack([image for image, _ in drawn]),
            np.stack([target for _, target in drawn]),
        )

    def _draw_one(
        self, crop: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        # Classes take turns, on from one batch to the next; within a class, samples by
        # the root of their pixels, so that a slice with few strokes is not forgotten.
        places = self._places[self._turn % len(self._places)]
        self._turn += 1
        weights = np.sqrt([len(c) for _, c in places])
        chosen = self._random.choice(len(places), p=weights / weights.sum())
        key, coordinates = places[chosen]
        centre = coordinates[self._random.integers(len(coordinates))]
        jitter = [int(self._random.integers(-(c // 3), c // 3 + 1)) for c in crop]
        return self.read(key, centre + np.array(jitter), crop, held=False)

    def cover(
        self, crop: Sequence[int], most: int
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Read crops that hold what is annotated, each pixel once.

        Each shows a part of the image with as much again around it, and targets in
        that part only, so that a pixel is seen with what is near it.

        Parameters
        ----------
        crop : sequence of int
            Edge per spatial axis.
        most : int
            How many crops; where more would be needed, they are a random choice with
            the classes in turn.

        Yields
        ------
        image, target
            As `read` returns them.
        """
        core = np.array([max(1, edge // 2) for edge in crop])
        for key, part in self._parts(core, most):
            start = np.array(part) * core
            image, box = self.read_image(key, start + core // 2, crop)
            target = self.read_target(key, box, crop, held=False)
            inside = tuple(
                slice(first - edges.start, first - edges.start + length)
                for first, edges, length in zip(start, box, core, strict=True)
            )
            part_of_all = (*[slice(None)] * (target.ndim - len(inside)), *inside)
            own = np.full_like(target, self._targets.nothing)
            own[part_of_all] = target[part_of_all]
            yield image, own

    def anywhere(
        self, crop: Sequence[int], most: int, seed: int
    ) -> Iterator[NDArray[np.float32]]:
        """Read crops at random places of what is annotated somewhere.

        Parameters
        ----------
        crop : sequence of int
            Edge per spatial axis.
        most : int
            How many at the most; samples take turns.
        seed : int
            Of the places, so that training goes on as without it.

        Yields
        ------
        image : ndarray
            float32 (C, *crop).
        """
        random = np.random.default_rng(seed)
        keys = list(dict.fromkeys(key for places in self._places for key, _ in places))
        random.shuffle(keys)
        known = set()
        for key in islice(cycle(keys), most):
            centre = random.integers(0, self._targets.spatial_shape(key[0]))
            image, box = self.read_image(key, centre, crop)
            place = (key, *((edges.start, edges.stop) for edges in box))
            if place not in known:
                known.add(place)
                yield image

    def _parts(
        self, core: NDArray[np.integer[Any]], most: int
    ) -> list[tuple[SampleKey, tuple[int, ...]]]:
        """Choose parts of a grid in which something is annotated, each once."""
        queues = []
        for places in self._places:
            found = [
                (key, tuple(map(int, part)))
                for key, coordinates in places
                for part in np.unique(coordinates // core, axis=0)
            ]
            queues.append([found[i] for i in self._random.permutation(len(found))])
        turns = chain.from_iterable(zip_longest(*queues))
        chosen = dict.fromkeys(part for part in turns if part is not None)
        return list(chosen)[:most]

    def read(
        self,
        key: SampleKey,
        centre: Sequence[int] | NDArray[np.integer[Any]],
        crop: Sequence[int],
        *,
        held: bool,
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Read the crop nearest to `centre` that lies inside the image."""
        image, box = self.read_image(key, centre, crop)
        return image, self.read_target(key, box, crop, held=held)

    def read_target(
        self,
        key: SampleKey,
        box: tuple[slice, ...],
        crop: Sequence[int],
        *,
        held: bool,
    ) -> NDArray[Any]:
        """Read the target of a box of `read_image`, extended to the size of a crop."""
        target = self._targets.target(*key, box, held)
        pad = _missing(box, crop)
        if any(p for _, p in pad):
            lead = [(0, 0)] * (target.ndim - len(pad))
            value = self._targets.nothing
            target = np.pad(target, [*lead, *pad], constant_values=value)
        return target

    def read_image(
        self,
        key: SampleKey,
        centre: Sequence[int] | NDArray[np.integer[Any]],
        crop: Sequence[int],
    ) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
        """Read the image of a crop, and tell where in the image it begins and ends."""
        shape = self._targets.spatial_shape(key[0])
        region = []
        for middle, edge, size in zip(centre, crop, shape, strict=True):
            start = int(np.clip(int(middle) - edge // 2, 0, max(0, size - edge)))
            region.append(slice(start, min(start + edge, size)))
        box = tuple(region)
        image = self._cache.read(key, box)
        pad = _missing(box, crop)
        if any(p for _, p in pad):
            image = np.pad(image, [(0, 0), *pad], mode="reflect")
        return image, box


def _missing(box: tuple[slice, ...], crop: Sequence[int]) -> list[tuple[int, int]]:
    """Return by how much a box is smaller than a crop, at the end of each axis."""
    return [
        (0, edge - (part.stop - part.start))
        for part, edge in zip(box, crop, strict=True)
    ]
