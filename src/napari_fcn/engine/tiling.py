"""Exact tiles: their prediction, put together, is that of the whole image.

A fully convolutional network is equivariant to shifts by multiples of its total
stride, and an output pixel depends on its receptive field only. So a tile that starts
on a multiple of the stride and carries a halo of the receptive field's reach gives, in
its core, exactly what the whole image gives there. At the image's own border a tile
ends where the image ends, so that the network pads there as it would for the whole.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.networks import ReceptiveField

Region = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """One tile, in pixels of the image.

    Attributes
    ----------
    core : tuple of slice
        What it predicts; inside the image.
    read : tuple of slice
        What of the image enters the network; inside the image.
    pad : tuple of int
        How many pixels to add at the end of each axis by reflection.
    keep : tuple of slice
        Where the core lies in the network's output.
    """

    core: Region
    read: Region
    pad: tuple[int, ...]
    keep: Region

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of what the network gets."""
        sizes = (s.stop - s.start for s in self.read)
        return tuple(size + p for size, p in zip(sizes, self.pad, strict=True))


def round_up(size: int, multiple: int) -> int:
    """Return the smallest multiple that is not smaller than `size`."""
    return -(-size // multiple) * multiple


def pad_to_stride(
    image: NDArray[np.float32], pad: Sequence[int]
) -> NDArray[np.float32]:
    """Add pixels at the end of each spatial axis of (C, ...) by reflection."""
    if not any(pad):
        return image
    return np.pad(image, [(0, 0), *((0, p) for p in pad)], mode="reflect")


def plan_tiles(
    shape: Sequence[int],
    tile: Sequence[int],
    field: ReceptiveField,
    region: Region | None = None,
) -> list[Tile]:
    """Cover an image, or a region of it, with exact tiles.

    Parameters
    ----------
    shape : sequence of int
        Spatial shape of the image.
    tile : sequence of int
        Wanted edge of a core per axis; rounded up to the network's stride.
    field : ReceptiveField
        Of the network.
    region : tuple of slice, optional
        Only the tiles that touch it, cut to it on multiples of the stride.

    Returns
    -------
    list of Tile
        In reading order; cores do not overlap.
    """
    bounds = region or tuple(slice(0, size) for size in shape)
    axes = [
        _plan_axis(size, edge, stride, max(halo, stride), bound)
        for size, edge, stride, halo, bound in zip(
            shape, tile, field.stride, field.halo, bounds, strict=True
        )
    ]
    return [_join(parts) for parts in itertools.product(*axes)]


@dataclass(frozen=True)
class _Part:
    """A tile along one axis."""

    core: slice
    read: slice
    pad: int
    keep: slice


def _plan_axis(
    size: int, edge: int, stride: int, halo: int, bound: slice
) -> list[_Part]:
    edge = round_up(max(1, edge), stride)
    halo = round_up(halo, stride)
    full = round_up(size, stride)
    parts = []
    first = bound.start // stride * stride
    for start in range(first, bound.stop, edge):
        stop = min(start + edge, round_up(bound.stop, stride), full)
        low, high = max(0, start - halo), min(full, stop + halo)
        core = slice(start, min(stop, size))
        parts.append(
            _Part(
                core=core,
                read=slice(low, min(high, size)),
                pad=max(0, high - size),
                keep=slice(core.start - low, core.stop - low),
            )
        )
    return parts


def _join(parts: Sequence[_Part]) -> Tile:
    return Tile(
        core=tuple(p.core for p in parts),
        read=tuple(p.read for p in parts),
        pad=tuple(p.pad for p in parts),
        keep=tuple(p.keep for p in parts),
    )
