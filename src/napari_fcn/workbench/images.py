"""Taking an image into a project: linked where it lies on disk, copied otherwise."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from napari_fcn.data.axes import validate_axes
from napari_fcn.data.files import atomic_path
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import check_image
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from napari_fcn.data.axes import Axes
    from napari_fcn.project import Project, ProjectImage

_AT_ONCE = 32 << 20
_BLOCK_BYTES = 16 << 20
_PROBE = 32


class Copy:
    """The copying of an image into the project, in a thread of its own.

    Parameters
    ----------
    data : array
        Where the pixels come from: numpy, dask or zarr.
    target : Path
        The Zarr array to write.

    Attributes
    ----------
    share : float
        0 to 1.
    error : str
        What went wrong; empty if nothing did.
    """

    def __init__(self, data: Any, target: Path) -> None:
        self._data = data
        self._target = target
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
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            self.error = (
                f"The image could not be copied ({error}); open it from a file."
            )

    def _copy(self, path: Path) -> None:
        shape, dtype = tuple(self._data.shape), np.dtype(self._data.dtype)
        array = zarr.create_array(
            str(path),
            shape=shape,
            chunks=_chunks(shape),
            dtype=dtype,
            compressors=None,  # read again and again while training
        )
        regions = _blocks(shape, dtype.itemsize)
        for number, region in enumerate(regions, 1):
            if self._cancelled:
                raise UserError("Copying the image was cancelled.")
            array[region] = np.asarray(self._data[region])
            self.share = number / len(regions)


def add_image(
    project: Project, data: Any, axes: Axes, name: str, path: Path | None = None
) -> tuple[ProjectImage, Copy | None]:
    """Take an image into a project.

    Parameters
    ----------
    project : Project
        Where it is added.
    data : array
        numpy, dask or zarr array.
    axes : Axes
        Of the array.
    name : str
        What the user calls it.
    path : Path, optional
        The file it was read from; it is linked if it holds the same pixels.

    Returns
    -------
    image : ProjectImage
        The new image of the project.
    copy : Copy, optional
        If it is being copied; small ones are there already.

    Raises
    ------
    UserError
        If it is no image, or the project cannot be written.
    """
    shape = tuple(int(n) for n in data.shape)
    validate_axes(axes.names, shape)
    check_image(shape, data.dtype, name)
    link = _link(data, axes, path)
    if link is not None:
        return project.add_image(name, *link, axes, shape), None
    target = project.folder / "images" / f"{project.free_key(name)}.zarr"
    copy = Copy(data, target)
    if data.dtype.itemsize * np.prod(shape, dtype=float) <= _AT_ONCE:
        copy.wait()
        if copy.error:
            raise UserError(copy.error)
    image = project.add_image(name, target, "zarr", axes, shape)
    return image, None if copy.finished else copy


def _link(
    data: Any, axes: Axes, path: Path | None
) -> tuple[Path, Literal["file", "zarr"]] | None:
    """Find what on disk holds the same pixels."""
    if isinstance(data, zarr.Array):
        place = str(data.store_path)
        if place.startswith("file://"):
            return Path(place.removeprefix("file://")), "zarr"
    if path is None or not path.exists():
        return None
    try:
        found = open_image(path, axes.names).data
        same = found.shape == data.shape and found.dtype == data.dtype
        return (path, "file") if same and _same_pixels(found, data) else None
    except (UserError, OSError, ValueError):
        return None


def _same_pixels(one: Any, other: Any) -> bool:
    """Compare a few small blocks along the diagonal."""
    for share in (0.0, 0.37, 0.71, 1.0):
        starts = [int(share * max(0, n - _PROBE)) for n in one.shape]
        region = tuple(slice(s, s + _PROBE) for s in starts)
        left, right = np.asarray(one[region]), np.asarray(other[region])
        if not np.array_equal(left, right, equal_nan=left.dtype.kind == "f"):
            return False
    return True


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    small = [n if n <= 4 else 1 for n in shape]
    large = sorted(range(len(shape)), key=lambda i: shape[i])[-2:]
    return tuple(
        max(1, min(n, 512)) if i in large else max(1, s)
        for i, (n, s) in enumerate(zip(shape, small, strict=True))
    )


def _blocks(shape: tuple[int, ...], itemsize: int) -> list[tuple[slice, ...]]:
    """Cut into slabs along the first axis that is longer than one."""
    axis = next((i for i, n in enumerate(shape) if n > 1), 0)
    rest = itemsize * float(np.prod(shape)) / shape[axis]
    step = max(1, int(_BLOCK_BYTES // max(rest, 1.0)))
    whole = [slice(0, n) for n in shape]
    return [
        (
            *whole[:axis],
            slice(start, min(start + step, shape[axis])),
            *whole[axis + 1 :],
        )
        for start in range(0, shape[axis], step)
    ]
