"""Density maps: an image whose integral over a region is the number of objects there.

Lempitsky & Zisserman 2010, "Learning to count objects in images", section 2: each dot
stands for a Gaussian of sum 1. Here it is cut off where nothing is annotated, at the
image's borders as well as at a region's, and what is left is scaled to sum 1 again: so
the sum over a region is its number of dots, always.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.annotations import Annotations, Coordinates, SampleKey
    from napari_fcn.data.dots import Dots, DottedImage

    Region = tuple[slice, ...]

REACH = 4.0
"""Where a Gaussian is cut off, in standard deviations."""
SHARE_OF_SPACING = 0.3
"""Width per distance to the next dot, as the geometry-adaptive kernels of Zhang et
al. 2016, "Single-image crowd counting via multi-column CNN", section 2.2."""
SHARE_OF_SIZE = 0.25
"""Width per diameter: 95 % of the Gaussian lies within the object in each direction."""
NARROWEST, WIDEST = 1.0, 16.0
"""Limits in pixels of widths that come from spacing."""


def widths_of(
    images: Sequence[DottedImage],
    classes: Sequence[ClassInfo],
    sizes: Sequence[float | None] = (),
) -> tuple[tuple[float, ...], ...]:
    """Choose the width of the Gaussian for each class.

    Parameters
    ----------
    images : sequence of DottedImage
        What was dotted, all with as many spatial axes.
    classes : sequence of ClassInfo
        The classes.
    sizes : sequence of float or None
        Diameter of the objects of each class in pixels of the finest axis, where it is
        known; from the spacing of the dots where not.

    Returns
    -------
    tuple of tuple of float
        Standard deviations in pixels, per class and axis in the order (Z,) Y, X.
        Where a step along an axis is longer, there are fewer pixels in them.
    """
    steps = relative_steps(images[0])
    given = [*sizes, *[None] * (len(classes) - len(sizes))]
    result = []
    for info, size in zip(classes, given, strict=True):
        width = (
            SHARE_OF_SIZE * size
            if size
            else SHARE_OF_SPACING * _spacing(images, info.value, steps)
        )
        low = 0.3 if size else NARROWEST
        width = float(np.clip(width, low, WIDEST if not size else 1e3))
        result.append(tuple(max(0.3, width / s) for s in steps))
    return tuple(result)


def relative_steps(item: DottedImage) -> tuple[float, ...]:
    """Return the length of a step along (Z,) Y, X, that of the finest axis being 1."""
    axes = item.image.label_axes
    positions = axes.spatial(item.image.ndim)
    units = {axes.units[p] for p in positions}
    steps = np.abs([axes.scale[p] for p in positions])
    if len(units) > 1:  # lengths that cannot be compared
        return (1.0,) * len(positions)
    return tuple(float(s) for s in steps / steps.min())


def _spacing(
    images: Sequence[DottedImage], value: int, steps: tuple[float, ...]
) -> float:
    """Return the median distance from a dot of a class to the next one."""
    distances = []
    for item in images:
        for dots in item.by_sample().values():
            places = dots.places[dots.values == value] * steps
            if len(places) > 1:
                distances.append(np.asarray(cKDTree(places).query(places, 2)[0])[:, 1])
    if not distances:
        return WIDEST
    return float(np.median(np.concatenate(distances)))


class DotTargets:
    """Density maps of dots, for crops.

    Parameters
    ----------
    images : sequence of DottedImage
        What was dotted.
    classes : sequence of ClassInfo
        One channel each.
    annotations : Annotations
        Of the regions, with a single class.
    widths : sequence of sequence of float
        As `widths_of` returns them.
    """

    nothing = 0.0
    when_empty = "No region is annotated any more; dot the objects of one."

    def __init__(
        self,
        images: Sequence[DottedImage],
        classes: Sequence[ClassInfo],
        annotations: Annotations,
        widths: Sequence[Sequence[float]],
    ) -> None:
        self.images = list(images)
        self._annotations = annotations
        self._widths = np.asarray(widths, np.float64)
        self._index = {c.value: i for i, c in enumerate(classes)}
        self._found: dict[SampleKey, _Rendered] = {}
        for number in range(len(self.images)):
            self.refresh(number)

    def spatial_shape(self, number: int) -> tuple[int, ...]:
        """Return the size of an image's samples."""
        return self._annotations.spatial_shape(number)

    def refresh(self, number: int) -> None:
        """Find the dots of an image and what of their Gaussians is annotated."""
        for key in [k for k in self._found if k[0] == number]:
            del self._found[key]
        for sample, dots in self.images[number].by_sample().items():
            self._found[number, sample] = self._render(number, sample, dots)

    def count(self) -> list[int]:
        """Return the number of dots in annotated regions, per class."""
        totals = np.zeros(len(self._index), np.int64)
        for found in self._found.values():
            np.add.at(totals, found.classes, 1)
        return totals.tolist()

    def by_class(self, *, held: bool) -> list[list[tuple[SampleKey, Coordinates]]]:
        """Return annotated pixels, then the dots of each class: crops in turns."""
        result = self._annotations.by_class(held=held)
        for index in range(len(self._index)):
            places = []
            for key, found in self._found.items():
                dots = found.nearest[found.classes == index]
                kept = [p for p in dots if self._is_seen(key, p, held)]
                if kept:
                    places.append((key, np.asarray(kept, np.int32)))
            result.append(places)
        return result

    def target(
        self,
        number: int,
        sample: tuple[int, ...],
        region: Region,
        held: bool,
    ) -> NDArray[np.float32]:
        """Return density per class, and where it is known.

        Returns
        -------
        (K + 1, *region) float32
            Objects per pixel; in the last channel 1 where annotated, else 0.
        """
        shape = tuple(s.stop - s.start for s in region)
        result = np.zeros((len(self._index) + 1, *shape), np.float32)
        seen = self._annotations.target(number, sample, region, held) >= 0
        result[-1] = seen
        found = self._found.get((number, sample))
        if found is not None and seen.any():
            self._add(result, found, region)
            result[:-1] *= seen
        return result

    def _is_seen(self, key: SampleKey, place: NDArray[np.int32], held: bool) -> bool:
        region = tuple(slice(int(i), int(i) + 1) for i in place)
        return bool((self._annotations.target(*key, region, held) >= 0).all())

    def _render(self, number: int, sample: tuple[int, ...], dots: Dots) -> _Rendered:
        """Keep the dots that lie in annotated regions, with the factor to sum 1."""
        shape = np.array(self.spatial_shape(number))
        places, classes, factors = [], [], []
        for place, value in zip(dots.places, dots.values, strict=True):
            index = self._index.get(int(value))
            nearest = np.rint(place).astype(int)
            if index is None or (nearest < 0).any() or (nearest >= shape).any():
                continue
            box = _window(place, self._widths[index], shape)
            known = np.logical_or(
                self._annotations.target(number, sample, box, False) >= 0,
                self._annotations.target(number, sample, box, True) >= 0,
            )
            if not known[tuple(nearest - [s.start for s in box])]:
                continue
            total = float((_gaussian(place, self._widths[index], box) * known).sum())
            places.append(place)
            classes.append(index)
            factors.append(1 / total)
        ndim = len(shape)
        return _Rendered(
            np.asarray(places, np.float64).reshape(-1, ndim),
            np.asarray(classes, np.int64),
            np.asarray(factors, np.float64),
        )

    def _add(
        self, result: NDArray[np.float32], found: _Rendered, region: Region
    ) -> None:
        low = np.array([s.start for s in region])
        high = np.array([s.stop for s in region])
        reach = REACH * self._widths[found.classes] + 1
        near = (found.places > low - reach) & (found.places < high + reach)
        for row in np.flatnonzero(near.all(1)):
            place, index = found.places[row], found.classes[row]
            box = _window(place, self._widths[index], high, low)
            if any(s.start >= s.stop for s in box):
                continue
            values = found.factors[row] * _gaussian(place, self._widths[index], box)
            part = tuple(
                slice(s.start - a, s.stop - a) for s, a in zip(box, low, strict=True)
            )
            result[(index, *part)] += values


class _Rendered:
    """The dots of one sample, ready to be drawn.

    Attributes
    ----------
    places, nearest : (n, ndim)
        Where, exactly and as pixels.
    classes : (n,) int
        Class indices.
    factors : (n,) float
        One over the sum of the Gaussian over annotated pixels.
    """

    def __init__(
        self,
        places: NDArray[np.float64],
        classes: NDArray[np.int64],
        factors: NDArray[np.float64],
    ) -> None:
        self.places, self.classes, self.factors = places, classes, factors
        self.nearest = np.rint(places).astype(np.int32)


def _window(
    place: NDArray[np.float64],
    width: NDArray[np.float64],
    high: NDArray[np.int64],
    low: NDArray[np.int64] | int = 0,
) -> Region:
    """Return where a Gaussian is not cut off, within bounds."""
    start = np.maximum(np.ceil(place - REACH * width), low).astype(int)
    stop = np.minimum(np.floor(place + REACH * width) + 1, high).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))


def _gaussian(
    place: NDArray[np.float64], width: NDArray[np.float64], box: Region
) -> NDArray[np.float64]:
    """Return an unscaled Gaussian at the pixels of a box."""
    result = np.ones((1,) * len(box))
    for axis, (middle, sigma, part) in enumerate(zip(place, width, box, strict=True)):
        line = np.exp(-0.5 * ((np.arange(part.start, part.stop) - middle) / sigma) ** 2)
        shape = [1] * len(box)
        shape[axis] = len(line)
        result = result * line.reshape(shape)
    return result


def pieces_of(region: Region, crop: Sequence[int]) -> list[Region]:
    """Cut a box into parts no larger than a crop, as equal as can be."""
    cuts = []
    for part, edge in zip(region, crop, strict=True):
        length = part.stop - part.start
        borders = np.linspace(
            part.start, part.stop, -(-length // edge) + 1, dtype=int
        ).tolist()
        cuts.append([slice(a, b) for a, b in pairwise(borders)])
    return [tuple(parts) for parts in product(*cuts)]
