"""The copying of an image into a project, in the background."""

from __future__ import annotations

import math
import threading
from itertools import accumulate, pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_BYTES = 16 << 20
_EDGE = 512
_CANCELLED = "Copying the image was cancelled; press Start labelling to copy it again."


class Copy:
    """The copying of an image into the project, in a thread of its own.

    Parameters
    ----------
    data : array
        Where the pixels come from: numpy, dask or zarr.
    target : Path
        The Zarr array to write.
    planes : tuple of int
        The axes of a plane, which is what is read at once later on.

    Attributes
    ----------
    share : float
        0 to 1.
    error : str
        What went wrong; empty if nothing did.
    """

    def __init__(self, data: Any, target: Path, planes: tuple[int, ...]) -> None:
        self._data = data
        self._target = target
        self._planes = planes
        self._cancelled = False
        self.share = 0.0
        self.error = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def cancel(self) -> None:
        """Give up; what was copied so far is removed."""
        self._cancelled = True

    def _run(self) -> None:
        try:
            with atomic_path(self._target) as temporary:
                self._copy(temporary)
        except UserError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 - a lazy array may run any code
            self.error = (
                f"The image could not be copied ({_reason(error)}); save it to a file "
                "and open that."
            )

    def _copy(self, path: Path) -> None:
        shape = tuple(int(n) for n in self._data.shape)
        dtype = np.dtype(self._data.dtype)
        chunks = _chunks(shape, self._planes)
        array = zarr.create_array(
            str(path),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            compressors=None,  # read again and again while training
        )
        regions = _blocks(_grains(self._data, chunks), dtype.itemsize)
        for number, region in enumerate(regions, 1):
            if self._cancelled:
                raise UserError(_CANCELLED)
            array[region] = self._read(region)
            self.share = number / len(regions)

    def _read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        try:
            return np.asarray(self._data[region])
        except Exception as error:  # a lazy array may run any code
            raise UserError(
                f"The image cannot be read ({_reason(error)}); save it to a file and "
                "open that."
            ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


def _chunks(shape: tuple[int, ...], planes: tuple[int, ...]) -> tuple[int, ...]:
    """Chunk for reading parts of a plane, a few channels at once."""
    return tuple(
        min(n, _EDGE) if axis in planes else n if n <= 4 else 1
        for axis, n in enumerate(shape)
    )


def _grains(data: Any, default: tuple[int, ...]) -> list[list[int]]:
    """Return where to cut each axis, so that nothing is computed or read twice."""
    chunks = getattr(data, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) != len(default):
        chunks = default
    return [
        [0, *accumulate(c)] if isinstance(c, tuple) else [*range(0, n, c), n]
        for c, n in zip(chunks, (int(n) for n in data.shape), strict=True)
    ]


def _blocks(cuts: list[list[int]], itemsize: int) -> list[tuple[slice, ...]]:
    """Return boxes of whole grains, as many of them together as fit into memory."""
    edges = [max(b - a for a, b in pairwise(cut)) for cut in cuts]
    sides: list[list[slice]] = []
    for axis, cut in reversed([*enumerate(cuts)]):
        fit = max(1, _BLOCK_BYTES // (itemsize * math.prod(edges)))
        edges[axis] = min(cut[-1], fit * edges[axis])
        sides.insert(0, [slice(a, b) for a, b in pairwise([*cut[:-1:fit], cut[-1]])])
    return list(product(*sides))
