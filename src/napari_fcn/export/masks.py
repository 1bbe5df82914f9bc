"""Write images and labels with their axes, scale, units and origin."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr
from PIL import Image

from napari_fcn.data.axes import CHANNELS, PIXEL, Axes, validate_axes
from napari_fcn.data.files import atomic_path
from napari_fcn.data.layout import RECORD, Layout, sort_axes
from napari_fcn.data.source import ArrayLike, check_image
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

_CLASSIC_LIMIT = 3_900_000_000  # bytes; beyond, offsets need more than 32 bits
_IMAGEJ = frozenset({"uint8", "uint16", "float32"})
_OME = frozenset({"int8", "int16", "int32", "uint32", "float64"}) | _IMAGEJ
# What Fiji can show without loss, for types that no TIFF reader but ours knows.
_SHOWN_AS = {"bool": "uint8", "float16": "float32"}
_OME_UNITS = {
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "angstrom": "Å",
    "inch": "in",
    PIXEL: PIXEL,
}
_CHUNK = 1024  # edge of the chunks of an OME-Zarr, in Y and X


def write_array(path: str | PathLike[str], array: ArrayLike, axes: Axes) -> Path:
    """Write an array in the format that the suffix names.

    Parameters
    ----------
    path : path
        ``.tif``, ``.tiff``, ``.ome.tif``, ``.png``, ``.zarr``, ``.ome.zarr``
        or ``.npy``.
    array : array
        numpy, dask or zarr array of any real type.
    axes : Axes
        Its axes.

    Returns
    -------
    Path
        What was written: ``path``, or a folder for a stack as PNG.

    Raises
    ------
    UserError
        For other suffixes, and when it cannot be written.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise UserError(
            f"Cannot tell the format of {target.name}: end the name in one of "
            f"{', '.join(_WRITERS)}."
        )
    return writer(target, array, axes)


def write_tiff(path: str | PathLike[str], array: ArrayLike, axes: Axes) -> Path:
    """Write a TIFF plane by plane, for Fiji where it knows the type, else OME.

    Parameters
    ----------
    path : path
        ``.ome.tif`` is always written as OME-TIFF where the type allows.
    array : array
        numpy, dask or zarr array; bool is written as uint8.
    axes : Axes
        Its axes, in any order.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        When the array is no image, or it cannot be written.
    """
    target = Path(path)
    shape = _checked(array, axes, target)
    dtype = np.dtype(_SHOWN_AS.get(array.dtype.name, array.dtype.name))
    rgb = dtype == np.uint8 and _is_rgb(axes.names, shape)
    groups = _tiff_groups(axes.names, rgb)
    layout = Layout(axes, shape, "".join(groups))
    size = math.prod(shape) * dtype.itemsize
    kind = _tiff_kind(target, dtype, size)
    # tifffile takes a sixth axis in OME for colour only, in ImageJ always.
    names = "TZCYXS" if rgb or kind == "imagej" else "TZCYX"
    stored = tuple(
        math.prod(shape[axes.names.index(letter)] for letter in group)
        for group in groups[: len(names)]
    )
    planes: Any = (
        np.ascontiguousarray(plane, dtype).reshape(stored[3:])
        for plane in _planes(array, layout, sum(map(len, groups[3:])))
    )
    narrow = kind == "shaped" and stored[-1] == 1
    if narrow:  # tifffile drops such axes, so that its pages are not planes
        planes = np.concatenate(list(planes)).reshape(stored)
    with (
        atomic_path(target) as temporary,
        tifffile.TiffWriter(
            temporary,
            bigtiff=size > _CLASSIC_LIMIT,
            imagej=kind == "imagej",
            ome=kind == "ome",
            shaped=kind == "shaped",
        ) as tif,
    ):
        tif.write(
            planes,
            shape=None if narrow else stored,
            dtype=dtype,
            photometric="rgb" if rgb else "minisblack",
            # labels shrink to almost nothing; ImageJ reads uncompressed files faster
            compression=None
            if kind == "imagej" or narrow or dtype.kind == "f"
            else "zlib",
            **_TIFF_METADATA[kind](names, layout),
        )
    return target


def write_png(path: str | PathLike[str], array: ArrayLike, axes: Axes) -> Path:
    """Write labels or 8/16-bit images as PNG; a stack becomes a folder of them.

    Parameters
    ----------
    path : path
        Of the file; a stack goes to a folder of this name without suffix.
    array : array of integers, bool, or RGB in uint8
        Negative numbers or more than 16 bits are refused.
    axes : Axes
        Its axes.

    Returns
    -------
    Path
        The file or the folder.

    Raises
    ------
    UserError
        When the values do not fit, or it cannot be written.
    """
    target = Path(path)
    shape = _checked(array, axes, target)
    if array.dtype.kind not in "biu":
        raise UserError(
            f"PNG holds whole numbers only: write {target.stem}.tif for values of "
            f"type {array.dtype}."
        )
    rgb = array.dtype == np.uint8 and _is_rgb(axes.names, shape)
    groups = _tiff_groups(axes.names, rgb)
    layout = Layout(axes, shape, "".join(groups))
    inner = sum(map(len, groups[3:]))
    count = math.prod(shape[i] for i in layout.permutation[: len(axes) - inner])
    planes = (_as_png(plane, target) for plane in _planes(array, layout, inner))
    if len(axes) == inner:
        with atomic_path(target) as temporary:
            Image.fromarray(next(planes)).save(temporary, format="PNG")
        return target
    folder = target.with_suffix("")
    digits = max(4, len(str(count - 1)))
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for i, plane in enumerate(planes):
            name = f"{folder.name}_{i:0{digits}d}.png"
            Image.fromarray(plane).save(temporary / name, format="PNG")
    return folder


def write_ome_zarr(path: str | PathLike[str], array: ArrayLike, axes: Axes) -> Path:
    """Write an OME-Zarr 0.5 folder, plane by plane.

    Parameters
    ----------
    path : path
        The folder; one that is there is replaced when all is written.
    array : array
        numpy, dask or zarr array of any real type; integers become an image-label.
    axes : Axes
        Its axes, in any order.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        When the array is no image, or it cannot be written.
    """
    target = Path(path)
    shape = _checked(array, axes, target)
    # OME-Zarr wants time, channels and space in this order.
    order = sort_axes(axes.names, ("T", "", "CS", "Z", "Y", "X"))
    layout = Layout(axes, shape, order)
    stored = tuple(shape[i] for i in layout.permutation)
    inner = sum(letter in "YX" for letter in order)
    leading, plane_shape = stored[: len(axes) - inner], stored[len(axes) - inner :]
    with atomic_path(target) as temporary:
        group = zarr.open_group(temporary, mode="w", zarr_format=3)
        group.attrs.update(_ome_attributes(target, layout, array.dtype))
        out = group.create_array(
            "0",
            shape=stored,
            chunks=(1,) * len(leading) + tuple(min(n, _CHUNK) for n in plane_shape),
            dtype=array.dtype.newbyteorder("="),
            dimension_names=[letter.lower() for letter in order],
        )
        planes = _planes(array, layout, inner)
        for where, plane in zip(np.ndindex(*leading), planes, strict=True):
            out[where] = plane
    return target


def write_npy(path: str | PathLike[str], array: ArrayLike, axes: Axes) -> Path:
    """Write an NPY file, which keeps the values only, not scale or units.

    Raises
    ------
    UserError
        When the array is no image, or it cannot be written.
    """
    target = Path(path)
    shape = _checked(array, axes, target)
    with atomic_path(target) as temporary:
        out = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=array.dtype, shape=shape
        )
        for i in range(shape[0]):
            out[i] = np.asarray(array[i])
        out.flush()
    return target


def _checked(array: ArrayLike, axes: Axes, target: Path) -> tuple[int, ...]:
    shape = tuple(int(n) for n in array.shape)
    validate_axes(axes.names, shape)
    check_image(shape, array.dtype, target.name)
    return shape


def _planes(array: ArrayLike, layout: Layout, inner: int) -> Iterator[NDArray[Any]]:
    """Read the array in stored order, the last ``inner`` axes at a time."""
    names = layout.axes.names
    outer = layout.order[: len(names) - inner]
    rest = [letter for letter in names if letter not in outer]
    order = [rest.index(letter) for letter in layout.order[len(outer) :]]
    for where in product(*(range(layout.shape[names.index(x)]) for x in outer)):
        at = dict(zip(outer, where, strict=True))
        index = tuple(at.get(letter, slice(None)) for letter in names)
        yield np.asarray(array[index]).transpose(order)


def _is_rgb(names: str, shape: tuple[int, ...]) -> bool:
    return "S" in names and shape[names.index("S")] in (3, 4)


def _tiff_groups(names: str, rgb: bool) -> list[str]:
    """Sort the axes into the six that ImageJ knows: T, Z, C, Y, X, S."""
    groups = ["", *("Z", "C", "Y", "X", "S")]
    groups = [letter if letter in names else "" for letter in groups]
    if not rgb and "S" in names and "C" not in names:
        groups[2], groups[5] = "S", ""
    elif not rgb:
        groups[5] = ""
    groups[0] = "".join(letter for letter in names if letter not in "".join(groups))
    return groups


def _as_png(plane: NDArray[Any], target: Path) -> NDArray[Any]:
    if plane.dtype == bool or plane.dtype == np.uint8:
        return np.ascontiguousarray(plane, np.uint8)
    if plane.min() < 0 or plane.max() > np.iinfo(np.uint16).max:
        raise UserError(
            f"PNG holds numbers from 0 to 65535 only: write {target.stem}.tif instead."
        )
    return np.ascontiguousarray(plane, np.uint16)


def _tiff_kind(target: Path, dtype: np.dtype[Any], size: int) -> str:
    """Choose who else shall understand the file: ImageJ, OME, or nobody."""
    ome_wanted = ".ome." in target.name.lower() or size > _CLASSIC_LIMIT
    if dtype.name in _IMAGEJ and not ome_wanted:
        return "imagej"
    return "ome" if dtype.name in _OME else "shaped"


def _step(axes: Axes, letter: str) -> tuple[float, str] | None:
    """Return the step along an axis if other programs could make use of it."""
    if letter not in axes.names:
        return None
    i = axes.names.index(letter)
    # Sizes that no microscope has do not fit the fields of TIFF.
    return (axes.scale[i], axes.units[i]) if 1e-6 < axes.scale[i] < 1e6 else None


def _imagej_metadata(names: str, layout: Layout) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": names, RECORD: layout.dumps()}
    options: dict[str, Any] = {"metadata": metadata}
    x, y, z, t = (_step(layout.axes, letter) for letter in "XYZT")
    if x and x[1] in _OME_UNITS:
        metadata["unit"] = "um" if x[1] == "micrometer" else x[1]
        if z and z[1] == x[1]:
            metadata["spacing"] = z[0]
        if y and y[1] == x[1]:
            options["resolution"] = (1 / x[0], 1 / y[0])
    if t and t[1] == "second":
        metadata["finterval"] = t[0]
    return options


def _ome_metadata(names: str, layout: Layout) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": names, "Description": layout.dumps()}
    for letter in "XYZ":
        step = _step(layout.axes, letter)
        if step and step[1] in _OME_UNITS:
            metadata[f"PhysicalSize{letter}"] = step[0]
            metadata[f"PhysicalSize{letter}Unit"] = _OME_UNITS[step[1]]
    t = _step(layout.axes, "T")
    if t and t[1] == "second":
        metadata |= {"TimeIncrement": t[0], "TimeIncrementUnit": "s"}
    return {"metadata": metadata}


def _shaped_metadata(names: str, layout: Layout) -> dict[str, Any]:
    return {"metadata": {"axes": names, RECORD: layout.dumps()}}


def _ome_attributes(
    target: Path, layout: Layout, dtype: np.dtype[Any]
) -> dict[str, Any]:
    stored = layout.axes.take(layout.permutation)
    multiscale = {
        "name": target.name.split(".")[0],
        "axes": [
            _ome_axis(letter, unit)
            for letter, unit in zip(stored.names, stored.units, strict=True)
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": list(stored.scale)},
                    {"type": "translation", "translation": list(stored.translate)},
                ],
            }
        ],
    }
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if dtype.kind in "biu" and stored.channel is None:
        ome["image-label"] = {"version": "0.5"}
    return {"ome": ome, RECORD: layout.dumps()}


def _ome_axis(letter: str, unit: str) -> dict[str, str]:
    axis = {"name": letter.lower()}
    if letter in "ZYX":
        axis["type"] = "space"
    elif letter in CHANNELS:
        axis["type"] = "channel"
    elif letter == "T":
        axis["type"] = "time"
    if unit != PIXEL:
        axis["unit"] = unit
    return axis


_TIFF_METADATA = {
    "imagej": _imagej_metadata,
    "ome": _ome_metadata,
    "shaped": _shaped_metadata,
}
_WRITERS: dict[str, Callable[[Path, ArrayLike, Axes], Path]] = {
    ".tif": write_tiff,
    ".tiff": write_tiff,
    ".png": write_png,
    ".zarr": write_ome_zarr,
    ".npy": write_npy,
}
