"""A mask or a segmentation as one more channel of an image.

Where it matters what else is known of a place, as inside or outside of the eye in a
fundus image, a network can be told by channels that are no intensities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add_channel(image: Any, axes: Axes, mask: Any, name: str = "the mask") -> Any:
    """Return an image with a mask as its last channel; nothing is computed yet.

    Parameters
    ----------
    image : array
        numpy, dask or zarr.
    axes : Axes
        Of the image.
    mask : array
        Of the image's shape without channels. Whole numbers: the channel is 1 where
        they are above 0, else 0. Real numbers, such as probabilities, stay as they
        are.
    name : str
        Used in messages.

    Returns
    -------
    dask array
        Axes as `axes_with_channel` says.

    Raises
    ------
    UserError
        If the shapes do not fit.
    """
    import dask.array as da

    channel = axes.channel
    shape = tuple(n for i, n in enumerate(image.shape) if i != channel)
    if tuple(mask.shape) != shape:
        raise UserError(
            f"{name} has shape {tuple(mask.shape)}, but the image without its channels "
            f"{shape}; check that they belong together."
        )
    pixels = image if isinstance(image, da.Array) else da.from_array(image)
    extra = mask if isinstance(mask, da.Array) else da.from_array(mask)
    if channel is None:
        channel, pixels = 0, pixels[np.newaxis]
    if extra.dtype.kind in "biu":
        extra = (extra > 0).astype(np.uint8)
    dtype = np.result_type(pixels.dtype, extra.dtype)
    extra = da.expand_dims(extra, channel)
    return da.concatenate([pixels.astype(dtype), extra.astype(dtype)], axis=channel)


def axes_with_channel(axes: Axes) -> Axes:
    """Return the axes that `add_channel` gives: with channels first, or where they are.

    Colours (S) become channels (C), for there are more of them than a colour has.
    """
    if axes.channel is None:
        return Axes(
            "C" + axes.names,
            (1.0, *axes.scale),
            ("pixel", *axes.units),
            (0.0, *axes.translate),
        )
    names = axes.names if "C" in axes.names else axes.names.replace("S", "C")
    return Axes(names, axes.scale, axes.units, axes.translate)


def with_mask(image: Any, mask: Any, axes: str) -> NDArray[Any] | Any:
    """Add a mask to an image as its last channel.

    Parameters
    ----------
    image : array
        numpy, dask or zarr.
    mask : array
        Of the image's shape without channels; see `add_channel`.
    axes : str
        One letter per axis of the image, such as ``"YX"`` or ``"TCYX"``.

    Returns
    -------
    array
        numpy for numpy, else dask. The channels are where they were, or first.

    Raises
    ------
    UserError
        If the shapes or the axes do not fit.
    """
    both = add_channel(image, Axes.of(axes), mask)
    numpy = isinstance(image, np.ndarray) and isinstance(mask, np.ndarray)
    return both.compute() if numpy else both
