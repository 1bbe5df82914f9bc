"""A bounded, evenly spread part of an image's values, to measure the whole by.

The choice depends on the shape alone, so that an image gives the same answer wherever
it is stored.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.source import ImageSource

_MAX_PLANES = 64
_MAX_PLANES_OF_A_SAMPLE = 8
_BLOCK = 512  # edge of the blocks read from planes too large to read whole
_BLOCKS_PER_AXIS = 3
_WHOLE_PLANE = 2048 * 2048


def values_of_image(source: ImageSource, budget: int) -> NDArray[np.float32]:
    """Read some values of all parts of an image.

    Planes are spread evenly over samples and depth; of planes too large to be read
    whole, a grid of blocks.

    Parameters
    ----------
    source : ImageSource
        The image, of any size.
    budget : int
        About how many values per channel.

    Returns
    -------
    ndarray
        float32 (C, n).

    Raises
    ------
    UserError
        When the image cannot be read.
    """
    n_samples, depth = len(source.sample_shape), source.spatial_shape[:-2]
    places = _places((*source.sample_shape, *depth), _MAX_PLANES)
    planes = [(place[:n_samples], place[n_samples:]) for place in places]
    return _read(source, planes, budget)


def values_of_sample(
    source: ImageSource, sample: tuple[int, ...], budget: int
) -> NDArray[np.float32]:
    """Read some values of all parts of one sample; see `values_of_image`."""
    places = _places(source.spatial_shape[:-2], _MAX_PLANES_OF_A_SAMPLE)
    return _read(source, [(sample, place) for place in places], budget)


def _places(shape: tuple[int, ...], most: int) -> list[tuple[int, ...]]:
    """Return at most so many places of an array of planes, evenly spread."""
    return [_unravel(flat, shape) for flat in _spread(math.prod(shape), most)]


def _read(
    source: ImageSource,
    planes: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    budget: int,
) -> NDArray[np.float32]:
    """Read about so many values per channel of planes (sample, depth), (C, n)."""
    blocks = [
        (sample, (*(slice(z, z + 1) for z in depth), *part))
        for sample, depth in planes
        for part in _parts(source.spatial_shape[-2:])
    ]
    kept = [
        _thin(source.read(sample, region), budget // len(blocks))
        for sample, region in blocks
    ]
    return np.concatenate(kept, axis=1)


def _parts(plane: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Return the whole plane, or a grid of blocks when it is large."""
    if plane[0] * plane[1] <= _WHOLE_PLANE:
        return iter([tuple(slice(0, n) for n in plane)])
    # A narrow plane still has to stay bounded along its long side.
    edges = [_spread(max(1, n - _BLOCK + 1), _BLOCKS_PER_AXIS) for n in plane]
    return (
        tuple(slice(s, min(s + _BLOCK, n)) for s, n in zip(start, plane, strict=True))
        for start in product(*edges)
    )


def _spread(n: int, most: int) -> list[int]:
    """Return at most ``most`` of ``range(n)``, evenly spread, ends included."""
    if n <= most:
        return list(range(n))
    return [i * (n - 1) // (most - 1) for i in range(most)]


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Like numpy's unravel_index, for any size."""
    index = []
    for n in reversed(shape):
        flat, i = divmod(flat, n)
        index.append(i)
    return tuple(reversed(index))


def _thin(block: NDArray[np.float32], keep: int) -> NDArray[np.float32]:
    """Return about ``keep`` values per channel, shape (C, n), as a copy."""
    flat = block.reshape(block.shape[0], -1)
    step = max(1, -(-flat.shape[1] // max(1, keep)))
    # A step that shares a factor with the row length would see few columns only.
    while step > 1 and np.gcd(step, block.shape[-1]) > 1:
        step += 1
    return flat[:, ::step].copy()
