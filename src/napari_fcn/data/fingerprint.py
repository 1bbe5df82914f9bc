"""Telling whether an image is still the one it was, without reading all of it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_PROBE = 32
_PROBES = 8


def probes(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return small blocks on the diagonal of an array, along its two longest axes."""
    large = sorted(range(len(shape)), key=lambda i: shape[i])[-2:]
    edges = [_PROBE if i in large else 1 for i in range(len(shape))]
    corners = [
        [int(share * max(0, n - e)) for n, e in zip(shape, edges, strict=True)]
        for share in np.linspace(0, 1, _PROBES)
    ]
    return [
        tuple(slice(s, s + e) for s, e in zip(corner, edges, strict=True))
        for corner in corners
    ]


def fingerprint(data: Any) -> str:
    """Return some letters that differ when the shape or the probed pixels do.

    Parameters
    ----------
    data : array
        numpy, dask or zarr array; only some small blocks are read.
    """
    shape = tuple(int(n) for n in data.shape)
    found = hashlib.sha256(repr(shape).encode())
    for region in probes(shape):
        block = np.asarray(data[region])
        little = block.astype(block.dtype.newbyteorder("<"), copy=False)
        found.update(np.ascontiguousarray(little).tobytes())
    return found.hexdigest()[:32]
