"""Taking an image into a project: linked where it lies on disk, copied otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from napari_fcn.data.axes import validate_axes
from napari_fcn.data.files import remove
from napari_fcn.data.fingerprint import fingerprint, probes
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import check_image
from napari_fcn.errors import UserError
from napari_fcn.workbench.copying import Copy

if TYPE_CHECKING:
    from napari_fcn.data.axes import Axes
    from napari_fcn.project import Project, ProjectImage

    Link = tuple[Path, Literal["file", "zarr"]]

__all__ = ["Copy", "add_image"]

_AT_ONCE = 32 << 20
_PATIENCE = 0.5
"""Seconds that the window may stand still."""


def add_image(
    project: Project, data: Any, axes: Axes, name: str, path: Path | None = None
) -> tuple[ProjectImage, Copy | None]:
    """Take an image into a project.

    One that the project holds already is found again with its labels: the same file,
    or the same pixels under the same name. One whose copy was never completed is
    copied anew.

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
        The image of the project.
    copy : Copy, optional
        If it is being copied; small ones are there already.

    Raises
    ------
    UserError
        If it is no image, or the project cannot be written.
    """
    shape = _shape(data)
    validate_axes(axes.names, shape)
    check_image(shape, data.dtype, name)
    planes = axes.spatial(2)
    known = [
        image
        for image in project.record.images
        if image.shape == shape and image.axes.axes().channel == axes.channel
    ]
    link = _link(data, axes, path)
    if link is not None:
        place = link[0].absolute()
        linked = (i for i in known if i.place(project.folder).absolute() == place)
        image = next(linked, None)
        if image is None:
            mark = fingerprint(data)
            image = project.add_image(name, *link, axes, shape, mark)
        return image, None
    for image in known:
        if image.name == name and not Path(image.path).is_absolute():
            kept = _pixels(project, image)
            if kept is None:
                return image, _copy_to(project.folder / image.path, data, planes)
            if _same_pixels(kept, data):
                return image, None
    target = project.folder / "images" / f"{project.free_key(name)}.zarr"
    copy = _copy_to(target, data, planes)
    return project.add_image(name, target, "zarr", axes, shape), copy


def keep_target(
    project: Project,
    image: ProjectImage,
    data: Any,
    axes: Axes,
    name: str,
    path: Path | None,
    number: int,
) -> tuple[ProjectImage, Copy | None]:
    """Take a target of an image into a project, linked or copied as images are.

    Parameters
    ----------
    project : Project
        Where it is kept.
    image : ProjectImage
        The image it belongs to.
    data, axes, name, path
        As for `add_image`.
    number : int
        That of no other target of the image. What a target that was removed has
        left under it is replaced.

    Raises
    ------
    UserError
        If it does not fit the image, or the project cannot be written.
    """
    shape = _shape(data)
    validate_axes(axes.names, shape)
    check_image(shape, data.dtype, name)
    found = tuple(n for i, n in enumerate(shape) if i != axes.channel)
    if found != image.label_shape:
        raise UserError(
            f"The target {name} has shape {found} but {image.name} has "
            f"{image.label_shape}, channels left out; choose the target of this image."
        )
    copy = None
    kept = project.folder / "targets" / f"{image.key}-{number}.zarr"
    place, kind = _link(data, axes, path) or (kept, "zarr")
    if place == kept:
        remove(kept)
        copy = _copy_to(kept, data, axes.spatial(2))
    key = f"target-{number}"
    return project.describe(key, name, place, kind, axes, shape), copy


def _copy_to(target: Path, data: Any, planes: tuple[int, ...]) -> Copy | None:
    """Copy an image; None if it is there already. The rest goes on by itself."""
    copy = Copy(data, target, planes)
    in_memory = type(data) is np.ndarray and data.nbytes <= _AT_ONCE
    copy.wait(None if in_memory else _PATIENCE)
    if not copy.finished:
        return copy
    if copy.error:
        raise UserError(copy.error)
    return None


def _pixels(project: Project, image: ProjectImage) -> Any:
    """Open the copy of an image; None where it was never completed."""
    try:
        return image.pixels(project.folder)
    except UserError:
        return None


def _link(data: Any, axes: Axes, path: Path | None) -> Link | None:
    """Find what on disk holds the same pixels."""
    if isinstance(data, zarr.Array):
        place = str(data.store_path)
        if place.startswith("file://"):
            return Path(place.removeprefix("file://")), "zarr"
    if path is None or not path.exists():
        return None
    try:
        found = open_image(path, axes.names).data
    except UserError:
        return None
    return (path, "file") if _same_pixels(found, data) else None


def _same_pixels(kept: Any, data: Any) -> bool:
    """Compare small arrays as a whole, others in small blocks on the diagonal."""
    if _shape(kept) != _shape(data) or _kind(kept) != _kind(data):
        return False
    whole = isinstance(data, np.ndarray) and data.nbytes <= _AT_ONCE
    regions = [(slice(None),) * data.ndim] if whole else probes(_shape(data))
    nan = data.dtype.kind == "f"
    try:
        return all(
            np.array_equal(np.asarray(kept[r]), np.asarray(data[r]), equal_nan=nan)
            for r in regions
        )
    except Exception:  # noqa: BLE001 - a lazy array may run any code
        return False


def _kind(data: Any) -> np.dtype[Any]:
    """Return the type of an array's values, in whatever order their bytes are."""
    kind: np.dtype[Any] = np.dtype(data.dtype).newbyteorder("=")
    return kind


def _shape(data: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in data.shape)
