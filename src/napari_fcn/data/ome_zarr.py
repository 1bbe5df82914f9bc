"""Open the full resolution of an OME-Zarr image (0.4 and 0.5) lazily."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import zarr

from napari_fcn.data.axes import Axes, default_axes
from napari_fcn.data.layout import RECORD, Layout
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
# Codecs of Zarr 2 that could run code from the file.
_UNSAFE = frozenset({"pickle"})
_BROKEN = (
    ValueError,  # also most errors of zarr
    TypeError,
    LookupError,
    OSError,
    AttributeError,
    RuntimeError,
    RecursionError,
)


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr image rather than a folder of images."""
    return path.is_dir() and any((path / mark).is_file() for mark in _MARKS)


def open_ome_zarr(path: Path) -> tuple[Any, Axes]:
    """Open level 0 of an OME-Zarr image, or a plain Zarr array.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    data : zarr or dask array
    axes : Axes

    Raises
    ------
    UserError
        When it is damaged, a plate, or holds no image.
    """
    try:
        return _open(path)
    except _BROKEN as error:
        raise UserError(
            f"{path} is not a complete OME-Zarr image: choose the folder that holds "
            f"its zarr.json or .zattrs, or copy it again."
        ) from error


def _open(path: Path) -> tuple[Any, Axes]:
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        _check(node, path)
        return node, Axes.of(default_axes(node.shape))
    attributes = node.attrs.asdict()
    ome = attributes.get("ome", attributes)
    if "plate" in ome or "well" in ome:
        raise UserError(f"{path} is a plate: choose one of the images inside it.")
    if "multiscales" not in ome and "bioformats2raw.layout" in ome:
        node = node["0"]  # bioformats2raw keeps its first image there
        attributes = node.attrs.asdict()
        ome = attributes.get("ome", attributes)
    if "multiscales" not in ome:
        raise UserError(f"{path} holds no OME-Zarr image: choose a folder inside it.")
    multiscale = ome["multiscales"][0]
    array = node[multiscale["datasets"][0]["path"]]
    _check(array, path)
    layout = Layout.loads(attributes.get(RECORD))
    restored = layout.restore(array) if layout else None
    if layout is not None and restored is not None:
        return restored, layout.axes
    return array, _axes(multiscale, array.shape)


def _check(array: Any, path: Path) -> None:
    codecs = [
        *(getattr(array.metadata, "filters", None) or ()),
        getattr(array.metadata, "compressor", None),
    ]
    if any(getattr(codec, "codec_id", None) in _UNSAFE for codec in codecs):
        raise UserError(
            f"{path} is stored as Python objects, which may run code: save it as "
            f"numbers first."
        )


def _axes(multiscale: Mapping[str, Any], shape: Sequence[int]) -> Axes:
    described = multiscale.get("axes")
    if not described:  # versions before 0.3
        return Axes.of(default_axes(shape))
    described = [a if isinstance(a, dict) else {"name": a} for a in described]
    names = "".join(str(a["name"])[:1].upper() for a in described)
    scale = [1.0] * len(names)
    translate = [0.0] * len(names)
    first = multiscale["datasets"][0]
    for owner in (first, multiscale):  # the dataset's come first, then those of all
        for step in owner.get("coordinateTransformations", ()):
            if step.get("type") == "scale":
                factors = [_factor(s) for s in step["scale"]]
                scale = _each(scale, factors)
                translate = _each(translate, factors)
            elif step.get("type") == "translation":
                shift = [float(t) for t in step["translation"]]
                translate = [a + b for a, b in zip(translate, shift, strict=True)]
    return Axes.of(names, scale, [a.get("unit") for a in described], translate)


def _factor(value: Any) -> float:
    number = float(value)
    return number if math.isfinite(number) and number != 0 else 1.0


def _each(values: Sequence[float], factors: Sequence[float]) -> list[float]:
    return [a * b for a, b in zip(values, factors, strict=True)]
