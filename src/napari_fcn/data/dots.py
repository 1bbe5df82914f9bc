"""Dots: one per object, in regions where every object has one; boxes with counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_fcn.data.source import ImageSource

OBJECT = 2
"""The class of dots that come without one."""


@dataclass(frozen=True, eq=False)
class Dots:
    """Where objects are.

    Attributes
    ----------
    places : (n, ndim) float64
        In pixels along the axes of the labels; pixel centres are whole numbers.
    values : (n,) int64
        The number of each one's class.
    """

    places: NDArray[np.float64]
    values: NDArray[np.int64]

    @classmethod
    def of(cls, places: Any, values: Any = None) -> Dots:
        """Make dots from coordinates, all of one class unless told otherwise.

        Raises
        ------
        UserError
            If the numbers are no coordinates, or not one class per dot.
        """
        where = np.asarray(places, np.float64)
        if where.size == 0:
            where = where.reshape(0, where.shape[-1] if where.ndim == 2 else 2)
        if where.ndim != 2 or not np.isfinite(where).all():
            raise UserError(
                "Dots need finite coordinates, one row per dot and one column per axis."
            )
        if values is None:
            values = np.full(len(where), OBJECT)
        numbers = np.asarray(values, np.int64)
        if numbers.shape != (len(where),):
            raise UserError("Dots need one class each.")
        return cls(where, numbers)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.places)


@dataclass(frozen=True)
class CountedBox:
    """A box in which the number of objects is known, but not where they are.

    Attributes
    ----------
    sample : tuple of int
        Which sample of the image.
    region : tuple of slice
        Where, in the order (Z,) Y, X.
    counts : mapping
        How many, by the number of the class; classes that are not named may have any.
    """

    sample: tuple[int, ...]
    region: tuple[slice, ...]
    counts: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class DottedImage:
    """An image with dots.

    Attributes
    ----------
    image : ImageSource
        The image.
    dots : Dots
        Where its objects are.
    regions : array, optional
        Of the image's label shape; every object in what is not 0 has a dot. Whole
        samples with at least one dot by default, and an image that is one sample; of
        an image without dots, but with boxes, nothing.
    boxes : tuple of CountedBox
        Where only numbers are known.
    testing : tuple of tuple of slice
        Boxes of the label shape that only score; nothing in them is learned from.
    """

    image: ImageSource
    dots: Dots
    regions: Any = None
    boxes: tuple[CountedBox, ...] = field(default=())
    testing: tuple[tuple[slice, ...], ...] = ()

    def __post_init__(self) -> None:
        """Check that everything lies in the image."""
        axes = len(self.image.label_shape)
        if self.dots.places.shape[1] != axes and len(self.dots):
            raise UserError(
                f"The dots of {self.image.name} have {self.dots.places.shape[1]} "
                f"coordinates but the image has {axes} axes without its channels; "
                "choose the dots of this image."
            )
        shape = self.image.label_shape
        if self.regions is not None and tuple(self.regions.shape) != shape:
            raise UserError(
                f"The regions of {self.image.name} have shape "
                f"{tuple(self.regions.shape)} but the image needs {shape}; choose the "
                "regions of this image."
            )
        for box in self.boxes:
            self._check_box(box)

    def annotated(self) -> Any:
        """Return an array of label shape that is not 0 where all objects have dots."""
        if self.regions is not None:
            return self.regions
        if self.boxes and not len(self.dots):
            return np.broadcast_to(np.uint8(0), self.image.label_shape)
        return whole_samples(self.image, self.dots)

    def by_sample(self) -> dict[tuple[int, ...], Dots]:
        """Return the dots of each sample that has any, in the order (Z,) Y, X."""
        axes = self.image.label_axes
        ndim = self.image.ndim
        samples, spatial = list(axes.samples(ndim)), list(axes.spatial(ndim))
        found: dict[tuple[int, ...], list[int]] = {}
        if not len(self.dots):
            return {}
        planes = np.rint(self.dots.places[:, samples]).astype(int)
        for row, plane in enumerate(planes):
            found.setdefault(tuple(int(i) for i in plane), []).append(row)
        return {
            sample: Dots(
                self.dots.places[np.ix_(rows, spatial)], self.dots.values[rows]
            )
            for sample, rows in sorted(found.items())
        }

    def _check_box(self, box: CountedBox) -> None:
        sizes = self.image.spatial_shape
        inside = len(box.region) == len(sizes) and all(
            0 <= s.start < s.stop <= n for s, n in zip(box.region, sizes, strict=True)
        )
        known = len(box.sample) == len(self.image.sample_shape) and all(
            0 <= i < n for i, n in zip(box.sample, self.image.sample_shape, strict=True)
        )
        if not inside or not known:
            raise UserError(
                f"A box with a count lies outside of {self.image.name}; draw it inside."
            )
        if any(not 0 <= n < 1e9 for n in box.counts.values()):
            raise UserError("The count of a box must be a number, 0 or more.")


def whole_samples(image: ImageSource, dots: Dots) -> NDArray[np.uint8]:
    """Return 1 in every sample with a dot, or everywhere if there is but one sample.

    Parameters
    ----------
    image : ImageSource
        The image.
    dots : Dots
        Along the axes of its labels.

    Returns
    -------
    (label shape) uint8
        A view that takes no memory; not to be written to.
    """
    axes, ndim = image.label_axes, image.ndim
    positions = axes.samples(ndim)
    marked = np.zeros(image.sample_shape, np.uint8)
    if image.n_samples == 1:
        marked[...] = 1
    elif len(dots):
        planes = np.rint(dots.places[:, list(positions)]).astype(int)
        inside = ((planes >= 0) & (planes < np.array(image.sample_shape))).all(1)
        marked[tuple(planes[inside].T)] = 1
    shape = [n if i in positions else 1 for i, n in enumerate(image.label_shape)]
    return np.broadcast_to(marked.reshape(shape), image.label_shape)
