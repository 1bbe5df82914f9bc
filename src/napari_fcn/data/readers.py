"""Open image files lazily, and find the files a command line names."""

from __future__ import annotations

import glob
import math
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_fcn.data.axes import Axes, default_axes, validate_axes
from napari_fcn.data.ome_zarr import is_zarr, open_ome_zarr
from napari_fcn.data.source import check_image
from napari_fcn.data.tiff import open_tiff
from napari_fcn.data.vendor import open_czi, open_lif, open_nd2
from napari_fcn.errors import SeveralImagesWarning, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAX_BYTES = 2**50  # a petabyte: headers beyond are wrong or hostile
_MAX_PIXELS_PER_BYTE = 2000  # what PNG and JPEG reach at the very best


@dataclass(frozen=True)
class OpenedImage:
    """A lazy image and what its file says about it.

    Attributes
    ----------
    data : array
        numpy (mapped into memory when large), zarr or dask array.
    axes : Axes
        What its axes mean.
    name : str
        File name without suffix.
    path : Path
        Where it came from.
    """

    data: Any
    axes: Axes
    name: str
    path: Path


def open_image(path: str | Path, axes: str | None = None) -> OpenedImage:
    """Open an image file without reading its pixels.

    Parameters
    ----------
    path : path
        TIFF, OME-TIFF, OME-Zarr folder, NPY, PNG, JPEG, BMP, ND2, LIF or CZI.
    axes : str, optional
        One letter per axis, in place of what the file says.

    Returns
    -------
    OpenedImage

    Raises
    ------
    UserError
        When there is no such file, or it is damaged, empty or of another kind.

    Warns
    -----
    SeveralImagesWarning
        If the file holds other images, too, which are not opened.
    """
    path = Path(path)
    _check_exists(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said in one sentence
            warnings.simplefilter("default", SeveralImagesWarning)
            data, found = _opener(path)(path)
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(
            f"{path} does not fit into memory: save it as OME-Zarr or TIFF first."
        ) from error
    except Exception as error:  # what decoders raise on damage is open
        raise UserError(
            f"{path} cannot be read ({_one_line(error)}): check that it is complete "
            f"and that its suffix tells its format."
        ) from error
    shape = tuple(data.shape)
    check_image(shape, data.dtype, path.name)
    if math.prod(shape) * np.dtype(data.dtype).itemsize > _MAX_BYTES:
        raise UserError(
            f"{path} claims the impossible shape {shape}: it is damaged, copy it again."
        )
    if axes is not None:
        found = replace(found, names=validate_axes(axes, shape))
    return OpenedImage(data, found, image_name(path), path)


def expand_paths(arguments: Sequence[str], *, tables: bool = False) -> list[Path]:
    """Replace folders and globs by their image files in natural order.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders or globs; an OME-Zarr folder is one image.
    tables : bool
        Whether to take CSV files, too.

    Returns
    -------
    list of Path
        In the order of the arguments, ``img2`` before ``img10`` within one.

    Raises
    ------
    UserError
        When an argument stands for no image.
    """
    return [path for argument in arguments for path in _expand(argument, tables)]


def _expand(argument: str, tables: bool) -> list[Path]:
    path = Path(argument)

    def fits(found: Path) -> bool:
        return _is_image(found) or (tables and found.suffix.lower() == ".csv")

    if path.is_dir() and not _is_image(path):
        found = sorted(filter(fits, path.iterdir()), key=_natural)
        if not found:
            raise UserError(f"The folder {path} contains no image files.")
        return found
    if path.exists() or not glob.has_magic(argument):
        _check_exists(path)
        return [path]
    found = sorted(filter(fits, map(Path, glob.glob(argument))), key=_natural)
    if not found:
        raise UserError(f"No image file matches {argument}: check the pattern.")
    return found


def _check_exists(path: Path) -> None:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise UserError(f"There is no file {path}: check its name.") from error
    if path.is_dir():
        if not is_zarr(path):
            raise UserError(f"{path} is a folder, not an image: choose a file in it.")
    elif size == 0:
        raise UserError(f"{path} is empty: copy it again.")


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_zarr(path) or (path.is_file() and path.suffix.lower() in _OPENERS)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort numbers by value and letters without case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.lower())
    return [
        (0, int(part), part) if part[0] in "0123456789" else (1, 0, part)
        for part in parts
    ]


def image_name(path: Path) -> str:
    """Return what an image is called: the name of its file without suffix."""
    return re.sub(r"(\.ome)?\.[^.]+$", "", path.name, flags=re.IGNORECASE) or path.name


def _one_line(error: Exception) -> str:
    """Return the first sentence of what a decoder says, without bytes of the file."""
    text = " ".join(str(error).split())
    text = re.split(r"\.\s|\s\(?b['\"]", text, maxsplit=1)[0].rstrip(".")
    return text[:120] or type(error).__name__


def _opener(path: Path) -> Callable[[Path], tuple[Any, Axes]]:
    if path.is_dir():
        return open_ome_zarr
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise UserError(
            f"{path} is not an image format known here: choose one of "
            f"{' '.join(sorted(_OPENERS))} or an OME-Zarr folder."
        )
    return opener


def _open_npy(path: Path) -> tuple[Any, Axes]:
    data = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(data, np.ndarray):  # an archive of several arrays
        raise UserError(f"{path} holds several arrays: save one of them as .npy.")
    return data, Axes.of(default_axes(data.shape))


def _open_picture(path: Path) -> tuple[Any, Axes]:
    """Read PNG, JPEG or BMP; they notes no scale that means anything."""
    try:
        with Image.open(path) as picture:
            _check_picture(picture, path)
            data = _pixels(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise UserError(
            f"{path} is not a complete picture of its kind, or too large for it: "
            f"save it as TIFF."
        ) from error
    return data, Axes.of("YX" if data.ndim == 2 else "YXS")


def _check_picture(picture: Image.Image, path: Path) -> None:
    pixels = picture.width * picture.height
    if pixels > 2**24 and pixels > _MAX_PIXELS_PER_BYTE * path.stat().st_size:
        raise UserError(
            f"{path} claims {picture.width} x {picture.height} pixels, more than a "
            f"file of its size can hold: copy it again."
        )


def _pixels(picture: Image.Image) -> np.ndarray[Any, np.dtype[Any]]:
    if picture.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
        picture = picture.convert("RGB")
    data = np.asarray(picture)
    # An alpha channel that is opaque everywhere says nothing about the image.
    if data.ndim == 3 and data.shape[-1] in (2, 4) and (data[..., -1] == 255).all():
        data = data[..., :-1]
    return data[..., 0] if data.ndim == 3 and data.shape[-1] == 1 else data


_OPENERS: dict[str, Callable[[Path], tuple[Any, Axes]]] = {
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".lsm": open_tiff,
    ".npy": _open_npy,
    ".png": _open_picture,
    ".jpg": _open_picture,
    ".jpeg": _open_picture,
    ".bmp": _open_picture,
    ".nd2": open_nd2,
    ".lif": open_lif,
    ".czi": open_czi,
}
