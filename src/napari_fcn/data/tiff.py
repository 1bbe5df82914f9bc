"""Open TIFF files lazily, with the axes and scale that OME-XML or ImageJ noted."""

from __future__ import annotations

import logging
import math
import string
import struct
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from napari_fcn.data.axes import PIXEL, Axes, default_axes, unit_name
from napari_fcn.data.layout import RECORD, Layout
from napari_fcn.data.several import warn_of_others
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

# What is wrong with a file is said in one sentence of our own; whoever sets up logging
# still gets what tifffile notes.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# What tifffile raises on files that are not what they claim to be.
_DAMAGED = (
    ValueError,  # also tifffile.TiffFileError and UnicodeError
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    MemoryError,
    OSError,
    AssertionError,
    EOFError,
)
_MAX_PLANES = 5_000_000
_MAX_PIXEL_SIZE = 50.0  # µm; coarser is the resolution of a screen or printer
_MICROMETERS = {2: 25_400.0, 3: 10_000.0}  # per inch, per centimetre
_GIBIBYTE = 2**30
_MAX_RATIO = 20_000  # no stack of images is compressed to less


def open_tiff(path: Path) -> tuple[Any, Axes]:
    """Open the largest series of a TIFF file at full resolution.

    Parameters
    ----------
    path : Path
        The file; it stays open as long as the array lives.

    Returns
    -------
    data : array
        Memory-mapped when stored as is, else a zarr array that reads what is asked.
    axes : Axes
        Names, scale and units; pixels when the file notes no scale.

    Raises
    ------
    UserError
        When the file is damaged, incomplete or compressed in an unknown way.
    """
    try:
        tif = tifffile.TiffFile(path)
    except _DAMAGED as error:
        raise _damaged(path) from error
    try:
        return _read(tif, path)
    except _DAMAGED as error:
        tif.close()
        raise _damaged(path) from error
    except UserError:
        tif.close()
        raise


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is not a complete TIFF file: copy it again or save it anew from the "
        f"program that made it."
    )


def _read(tif: Any, path: Path) -> tuple[Any, Axes]:
    pixels = _ome_pixels(tif)
    found = [s for s in enumerate(tif.series) if s[1].shape]
    if not found:
        raise _damaged(path)
    number, series = max(found, key=lambda s: s[1].size)  # the first of the largest
    warn_of_others(path, [s.size for _, s in found])
    _check_extent(series, path)
    _check_pages(tif, path)
    data = _open_series(tif, series, path)
    layout = _own_layout(tif)
    if layout is not None:
        restored = layout.restore(data)
        if restored is not None:
            return restored, layout.axes
    names = _names(tif, series)
    return data, _axes(tif, names, pixels.get(number, {}))


def _check_extent(series: Any, path: Path) -> None:
    """Refuse headers that promise far more than the file can hold."""
    page = series.keyframe
    pages = [p for p in (series.pages[0], series.pages[-1]) if p is not None]
    for p in pages:
        ends = zip(p.dataoffsets, p.databytecounts, strict=False)
        if max((a + b for a, b in ends), default=0) > p.parent.filehandle.size:
            raise _damaged(path)
    held = sum(
        p.parent.filehandle.size for p in {id(p.parent): p for p in pages}.values()
    )
    parent_files = getattr(series, "is_multifile", False)
    tile = math.prod(page.chunks) * page.dtype.itemsize  # decoded as a whole
    promised = max(page.nbytes, tile, 0 if parent_files else series.nbytes)
    if promised > max(_GIBIBYTE, _MAX_RATIO * held):
        raise _damaged(path)
    if page.compression > 1 and page.compression not in tifffile.TIFF.DECOMPRESSORS:
        name = getattr(page.compression, "name", page.compression)
        raise UserError(
            f"{path} is compressed with {name}: install the decoder with "
            f"pip install 'napari-fcn[formats]', or save it uncompressed."
        )


def _check_pages(tif: Any, path: Path) -> None:
    """Refuse files whose end was cut off: their last page points to one more."""
    form = tif.tiff
    tif.filehandle.seek(tif.pages[len(tif.pages) - 1].offset)
    count = tif.filehandle.read(form.tagnosize)
    n_tags = struct.unpack(form.tagnoformat, count)[0]
    end = tif.filehandle.read(n_tags * form.tagsize + form.offsetsize)
    if struct.unpack(form.offsetformat, end[-form.offsetsize :])[0]:
        raise _damaged(path)


def _open_series(tif: Any, series: Any, path: Path) -> Any:
    """Map the file into memory when its values lie there as they are."""
    if series.dataoffset is not None and not series.is_multifile:
        # tifffile.memmap would open the file a second time, and by its own series
        data = np.memmap(
            path,
            dtype=tif.byteorder + series.dtype.char,
            mode="r",
            offset=series.dataoffset,
            shape=series.shape,
        )
        tif.close()
        return data
    return zarr.open_array(series.aszarr(level=0), mode="r", zarr_format=2)


def _own_layout(tif: Any) -> Layout | None:
    """Return what this package noted when it wrote the file."""
    if tif.is_imagej:
        return Layout.loads((tif.imagej_metadata or {}).get(RECORD))
    if tif.is_ome:
        found = next(_elements(_ome_root(tif), "Description"), None)
        return Layout.loads(found.text if found is not None else None)
    if tif.is_shaped:
        return Layout.loads(_shaped(tif).get(RECORD))
    return None


def _shaped(tif: Any) -> dict[str, Any]:
    """Return the JSON that tifffile leaves in the files it writes."""
    return tif.shaped_metadata[0] if tif.shaped_metadata else {}


def _names(tif: Any, series: Any) -> str:
    """Return one letter per axis, each once."""
    names, shape = series.axes.upper(), tuple(series.shape)
    described = tif.is_ome or tif.is_imagej
    if tif.is_shaped:
        described = bool(_shaped(tif).get("axes"))
    unknown = [i for i, letter in enumerate(names) if letter not in "TZCYXS"]
    if not described and len(unknown) == 1 and "Z" not in names:
        # A plain stack of pages: most are through depth, and --axes says otherwise.
        return names[: unknown[0]] + "Z" + names[unknown[0] + 1 :]
    if not described and len(unknown) > 1 and len(shape) <= 6:
        return default_axes(shape)
    return _unique(names)


def _unique(names: str) -> str:
    """Replace repeated and strange letters by free ones."""
    free = [x for x in "QPRIABDEFGHJKLMNOUVW" if x not in names]
    seen: list[str] = []
    for letter in names:
        good = letter in string.ascii_uppercase and letter not in seen
        seen.append(letter if good else free.pop(0))
    return "".join(seen)


def _axes(tif: Any, names: str, pixels: dict[str, tuple[float, str]]) -> Axes:
    steps = pixels
    if tif.is_imagej:
        steps = _imagej_steps(tif)
    elif not tif.is_ome:
        steps = _plain_steps(tif)
    sound = {
        k: v for k, v in steps.items() if math.isfinite(v[0]) and v[0] > 0 and v[1]
    }
    found = [sound.get(letter, (1.0, PIXEL)) for letter in names]
    return Axes.of(names, [s for s, _ in found], [u for _, u in found])


# OME-XML ------------------------------------------------------------------------


def _ome_root(tif: Any) -> ET.Element:
    text = (tif.pages.first.description or "") if tif.is_ome else ""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("OME-XML does not declare entities")
    try:
        return ET.fromstring(text.encode()) if text else ET.Element("OME")
    except ET.ParseError as error:
        raise ValueError("no XML") from error


def _elements(root: ET.Element, name: str) -> Any:
    return (e for e in root.iter() if e.tag.rpartition("}")[2] == name)


def _ome_pixels(tif: Any) -> dict[int, dict[str, tuple[float, str]]]:
    """Return size and unit of the steps of every image, by its number.

    This comes before anything else touches the file: tifffile makes a list of all
    planes that the header promises.
    """
    images = list(_elements(_ome_root(tif), "Pixels"))
    for pixels in images:
        planes = math.prod(int(pixels.get(f"Size{a}", 1)) for a in "ZCT")
        if not 0 < planes <= _MAX_PLANES:
            raise ValueError("too many planes")
    return {i: _ome_steps(pixels) for i, pixels in enumerate(images)}


def _ome_steps(pixels: ET.Element) -> dict[str, tuple[float, str]]:
    steps = {}
    for letter in "XYZ":
        unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")
        steps[letter] = (_number(pixels.get(f"PhysicalSize{letter}")), unit)
    steps["T"] = (
        _number(pixels.get("TimeIncrement")),
        pixels.get("TimeIncrementUnit", "s"),
    )
    return steps


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


# ImageJ and plain resolution tags ----------------------------------------------


def _imagej_steps(tif: Any) -> dict[str, tuple[float, str]]:
    meta = tif.imagej_metadata or {}
    unit = str(meta.get("unit", ""))
    steps = {"T": (_number(meta.get("finterval")), "second")}
    if unit_name(unit) == PIXEL:
        return steps
    for letter, tag in (("X", "XResolution"), ("Y", "YResolution")):
        steps[letter] = (1 / _resolution(tif, tag), unit)
    steps["Y"] = (steps["Y"][0], str(meta.get("yunit", unit)))
    steps["Z"] = (_number(meta.get("spacing")), str(meta.get("zunit", unit)))
    return steps


def _plain_steps(tif: Any) -> dict[str, tuple[float, str]]:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    factor = _MICROMETERS.get(int(tag.value) if tag is not None else 1)
    if factor is None:
        return {}
    steps = {
        letter: factor / _resolution(tif, f"{letter}Resolution") for letter in "XY"
    }
    if not all(0 < size < _MAX_PIXEL_SIZE for size in steps.values()):
        return {}
    return {letter: (size, "micrometer") for letter, size in steps.items()}


def _resolution(tif: Any, name: str) -> float:
    """Return pixels per unit, NaN when absent or senseless."""
    tag = tif.pages.first.tags.get(name)
    if tag is None or len(tag.value) != 2 or 0 in tag.value:
        return math.nan
    return float(tag.value[0] / tag.value[1])
