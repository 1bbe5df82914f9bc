"""Names for the files that are written, one for each image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SUFFIX = r"(\.ome)?\.[^.]*$"


def name_targets(out: Path, images: Sequence[Path], suffix: str = ".tif") -> list[Path]:
    """Name the file for one image, or the files in a folder for several.

    Parameters
    ----------
    out : Path
        A file for one image; otherwise a folder.
    images : sequence of Path
        Each gives its name to a file.
    suffix : str
        Of the files in a folder.

    Returns
    -------
    list of Path
        No two alike, as long as the images.

    Raises
    ------
    UserError
        If there are several images and one file.
    """
    if len(images) == 1 and out.suffix and not out.is_dir():
        return [out]
    if len(images) == 1 and out.is_dir() and out.suffix == ".zarr":
        return [out]
    if out.is_file():
        raise UserError(f"{out} is a file; give a folder for several images.")
    names: list[str] = []
    for image in images:
        stem = _stem(image)
        number, name = 1, stem
        while name.casefold() in map(str.casefold, names):
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return [out / f"{name}{suffix}" for name in names]


def tell_apart(images: Sequence[Path]) -> list[str]:
    """Return the names of images without suffix, or with all that tells them apart.

    Parameters
    ----------
    images : sequence of Path
        Where they are.

    Returns
    -------
    list of str
        One for each image; where several have the same name, with the suffix and as
        many folders as are needed. Alike only for the same place.
    """
    stems = [_stem(image) for image in images]
    return [
        stem if stems.count(stem) == 1 else _with_folders(image, images)
        for image, stem in zip(images, stems, strict=True)
    ]


def _stem(image: Path) -> str:
    return re.sub(_SUFFIX, "", image.name, flags=re.IGNORECASE) or "image"


def _with_folders(image: Path, images: Sequence[Path]) -> str:
    others = [other.parts for other in images if other != image]
    size = 1
    while any(other[-size:] == image.parts[-size:] for other in others):
        size += 1
    return "/".join(image.parts[-size:])
