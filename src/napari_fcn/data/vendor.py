"""Open the files of microscope makers with optional packages."""

from __future__ import annotations

import importlib
import math
import re
import string
from typing import TYPE_CHECKING, Any

from napari_fcn.data.axes import Axes
from napari_fcn.data.several import warn_of_others
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_METERS_TO_MICROMETERS = 1e6


def open_nd2(path: Path) -> tuple[Any, Axes]:
    """Open a Nikon ND2 file lazily, one plane per chunk.

    Raises
    ------
    UserError
        When the package nd2 is missing or the file is damaged.
    """
    nd2 = _package("nd2", path)
    with nd2.ND2File(path) as file:
        names = _letters(file.sizes)
        size = file.voxel_size()
        data = file.to_dask(wrapper=False)
    steps = {"X": size.x, "Y": size.y, "Z": size.z}
    return data, _micrometers(names, steps)


def open_lif(path: Path) -> tuple[Any, Axes]:
    """Open the largest image of a Leica LIF file, mapped into memory.

    Raises
    ------
    UserError
        When the package liffile is missing or the file is damaged.
    """
    liffile = _package("liffile", path)
    with liffile.LifFile(path) as file:
        if not file.images:
            raise UserError(f"{path} holds no images: choose another file.")
        image = max(file.images, key=lambda i: i.size)
        warn_of_others(path, [i.size for i in file.images], image.name)
        data = image.asarray(out="memmap")
        dims, coords = image.dims, dict(image.coords)
    names = _letters("C" if d in "λΛ" and "C" not in dims else d for d in dims)
    steps = {
        letter: abs(float(coords[d][1] - coords[d][0])) * _METERS_TO_MICROMETERS
        for letter, d in zip(names, dims, strict=True)
        if letter in "XYZ" and len(coords.get(d, ())) > 1
    }
    return data, _micrometers(names, steps)


def open_czi(path: Path) -> tuple[Any, Axes]:
    """Read a Zeiss CZI file into memory.

    Raises
    ------
    UserError
        When the package czifile is missing, or the file damaged or too large.
    """
    czifile = _package("czifile", path)
    with czifile.CziFile(path) as file:
        # CZI calls the RGB samples 0 and the scenes S, we call them S and P.
        names = file.axes.translate(str.maketrans("0S", "SP"))
        data = file.asarray()
        text = file.metadata(raw=True)
    keep = [i for i, letter in enumerate(names) if data.shape[i] > 1 or letter in "YX"]
    data = data.reshape([data.shape[i] for i in keep])
    names = _letters(names[i] for i in keep)
    return data, _micrometers(names, _czi_steps(text))


def _czi_steps(text: str) -> dict[str, float]:
    found = re.findall(r'<Distance Id="([XYZ])">\s*<Value>([^<]{1,40})</Value>', text)
    return {letter: float(value) * _METERS_TO_MICROMETERS for letter, value in found}


def _package(name: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"To open {path.name}, install its reader with "
            f"pip install 'napari-fcn[formats]'."
        ) from error


def _letters(names: Iterable[str]) -> str:
    """Return one upper-case letter of its own per axis."""
    wanted = [str(name) for name in names]
    free = [x for x in "PQRABDEFGHIJKLMNOUVW" if x not in wanted]
    seen: list[str] = []
    for letter in wanted:
        good = len(letter) == 1 and letter in string.ascii_uppercase
        seen.append(letter if good and letter not in seen else free.pop(0))
    return "".join(seen)


def _micrometers(names: str, steps: dict[str, float]) -> Axes:
    sound = {
        letter: float(step)
        for letter, step in steps.items()
        if step is not None and math.isfinite(step) and step > 0
    }
    return Axes.of(
        names,
        [sound.get(letter, 1.0) for letter in names],
        ["micrometer" if letter in sound else None for letter in names],
    )
