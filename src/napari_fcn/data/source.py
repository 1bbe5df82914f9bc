"""A lazy, read-only view on an image as (sample, channel, spatial region)."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fcn.data.axes import Axes, validate_axes
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class ArrayLike(Protocol):
    """What numpy, dask and zarr arrays have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""

    @property
    def dtype(self) -> Any:
        """Type of its values."""

    def __getitem__(self, key: Any, /) -> Any:
        """Read a part of it."""


def check_image(shape: tuple[int, ...], dtype: Any, name: str = "image") -> None:
    """Refuse arrays that cannot be images.

    Raises
    ------
    UserError
        When empty, or when values are not real numbers.
    """
    if np.dtype(dtype).kind not in "biuf":
        raise UserError(
            f"The image {name} holds values of type {dtype}: convert it to integers "
            f"or real numbers first."
        )
    if 0 in shape:
        raise UserError(
            f"The image {name} is empty (shape {shape}): choose one with pixels."
        )


class ImageSource:
    """A lazy image; nothing is read before :meth:`read`.

    Parameters
    ----------
    data : array
        numpy, dask or zarr array, or anything with shape, dtype and slicing.
    axes : Axes
        What its axes mean, in any order.
    ndim : {2, 3}
        Number of spatial axes; with 2, Z counts samples.
    name : str
        Used in messages.

    Raises
    ------
    UserError
        When the array is empty, holds no real numbers or does not fit the axes.
    """

    def __init__(
        self, data: ArrayLike, axes: Axes, ndim: int, name: str = "image"
    ) -> None:
        self.data = data
        self.axes = axes
        self.ndim = ndim
        self.name = name
        self._shape = tuple(int(n) for n in data.shape)
        validate_axes(axes.names, self._shape)
        check_image(self._shape, data.dtype, name)
        self._spatial = axes.spatial(ndim)
        self._samples = axes.samples(ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values; :meth:`read` always returns float32."""
        return np.dtype(self.data.dtype)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Size along (Z,) Y, X, whatever their order in the array."""
        return tuple(self._shape[i] for i in self._spatial)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Size along the sample axes, in the order of the array."""
        return tuple(self._shape[i] for i in self._samples)

    @property
    def n_channels(self) -> int:
        """Number of channels, 1 without a channel axis."""
        channel = self.axes.channel
        return 1 if channel is None else self._shape[channel]

    @property
    def label_axes(self) -> Axes:
        """Axes of the labels: those of the image without channels, same order."""
        channel = self.axes.channel
        return self.axes if channel is None else self.axes.drop(channel)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of the labels: that of the image without channels, same order."""
        channel = self.axes.channel
        return tuple(n for i, n in enumerate(self._shape) if i != channel)

    @property
    def n_samples(self) -> int:
        """Number of independent samples."""
        return math.prod(self.sample_shape)

    def samples(self) -> Iterator[tuple[int, ...]]:
        """Iterate over the indices of all samples; one empty index if no axes."""
        return product(*(range(n) for n in self.sample_shape))

    def whole(self) -> tuple[slice, ...]:
        """Return the region that is a whole sample."""
        return tuple(slice(0, n) for n in self.spatial_shape)

    def read(
        self, sample: tuple[int, ...], region: tuple[slice, ...]
    ) -> NDArray[np.float32]:
        """Read one region, and only that region.

        Parameters
        ----------
        sample : tuple of int
            Index along the sample axes.
        region : tuple of slice
            One slice per spatial axis in the order (Z,) Y, X; inside the image.

        Returns
        -------
        ndarray of float32, shape (C, *region)

        Raises
        ------
        UserError
            When sample or region lie outside the image, or reading fails.
        """
        index = self._index(sample, region)
        try:
            block = np.asarray(self.data[index])
        except MemoryError:
            raise
        except Exception as error:  # a lazy array may run any code
            raise UserError(
                f"Part of the image {self.name} could not be read ({error}): check "
                f"that the file is complete and still where it was."
            ) from error
        block = block.transpose(self._order(with_channel=True))
        if self.axes.channel is None:
            block = block[np.newaxis]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(block, dtype=np.float32)

    def label_index(
        self, sample: tuple[int, ...], region: tuple[slice, ...]
    ) -> tuple[int | slice, ...]:
        """Return where a region lies in an array of :attr:`label_shape`.

        Raises
        ------
        UserError
            When sample or region lie outside the image.
        """
        index = self._index(sample, region)
        channel = self.axes.channel
        return tuple(part for i, part in enumerate(index) if i != channel)

    def read_labels(
        self, array: ArrayLike, sample: tuple[int, ...], region: tuple[slice, ...]
    ) -> NDArray[Any]:
        """Read a region of an array of :attr:`label_shape`.

        Returns
        -------
        ndarray, shape (*region)
            In the order (Z,) Y, X, with the array's own dtype.

        Raises
        ------
        UserError
            When the array has another shape, or the region lies outside.
        """
        self._check_labels(array)
        block = np.asarray(array[self.label_index(sample, region)])
        return block.transpose(self._order(with_channel=False))

    def write_labels(
        self,
        array: Any,
        sample: tuple[int, ...],
        region: tuple[slice, ...],
        block: NDArray[Any],
    ) -> None:
        """Write a block in the order (Z,) Y, X into an array of label shape.

        Raises
        ------
        UserError
            When the array has another shape, or the region lies outside.
        """
        self._check_labels(array)
        order = np.argsort(self._order(with_channel=False))
        array[self.label_index(sample, region)] = block.transpose(order)

    def _check_labels(self, array: ArrayLike) -> None:
        if tuple(array.shape) != self.label_shape:
            raise UserError(
                f"The labels of {self.name} have shape {tuple(array.shape)} but must "
                f"have {self.label_shape}, that of the image without its channels."
            )

    def _index(
        self, sample: tuple[int, ...], region: tuple[slice, ...]
    ) -> tuple[int | slice, ...]:
        """Place sample and region at their array axes; channels are read whole."""
        if len(sample) != len(self._samples) or not all(
            0 <= i < n for i, n in zip(sample, self.sample_shape, strict=True)
        ):
            raise UserError(
                f"There is no sample {sample} in {self.name}: the sample axes have "
                f"shape {self.sample_shape}."
            )
        index: list[int | slice] = [slice(None)] * len(self._shape)
        for axis, i in zip(self._samples, sample, strict=True):
            index[axis] = int(i)
        for axis, part in zip(self._spatial, self._checked(region), strict=True):
            index[axis] = part
        return tuple(index)

    def _checked(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        shape = self.spatial_shape
        parts = tuple(
            slice(s.start or 0, n if s.stop is None else s.stop, s.step)
            for s, n in zip(region, shape, strict=False)
        )
        if len(region) != len(shape) or not all(
            s.step in (None, 1) and 0 <= s.start < s.stop <= n
            for s, n in zip(parts, shape, strict=True)
        ):
            raise UserError(
                f"The region {region} does not lie inside {self.name}, whose spatial "
                f"shape is {shape}."
            )
        return parts

    def _order(self, *, with_channel: bool) -> tuple[int, ...]:
        """Return the transposition to ([C,] Z, Y, X) once samples are indexed."""
        channel = self.axes.channel
        wanted = list(self._spatial)
        if with_channel and channel is not None:
            wanted.insert(0, channel)
        left = sorted(wanted)
        return tuple(left.index(axis) for axis in wanted)
