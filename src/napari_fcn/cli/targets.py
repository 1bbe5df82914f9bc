"""Names for the files that are written, one for each image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    from napari_fcn.data.readers import image_name

    if len(images) == 1 and out.suffix and not out.is_dir():
        return [out]
    if len(images) == 1 and out.is_dir() and out.suffix == ".zarr":
        return [out]
    if out.is_file():
        raise UserError(f"{out} is a file; give a folder for several images.")
    names: list[str] = []
    for image in images:
        stem = image_name(image)
        number, name = 1, stem
        while name.casefold() in map(str.casefold, names):
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return [out / f"{name}{suffix}" for name in names]


def tell_apart(images: Sequence[Path]) -> list[str]:
    """Return what images are called, with all that tells them apart where needed.

    Parameters
    ----------
    images : sequence of Path
        Where they are.

    Returns
    -------
    list of str
        One for each image; of those that have a name in common, with the suffix and as
        many folders as are needed.
    """
    from napari_fcn.data.readers import image_name

    names = {image: image_name(image) for image in images}
    number = Counter(names[image] for image in images)
    longer = _with_folders({image for image in images if number[names[image]] > 1})
    return [longer.get(image, names[image]) for image in images]


def _with_folders(images: set[Path]) -> dict[Path, str]:
    """Return the ends of paths, each as long as needed to be no other one's."""
    names: dict[Path, str] = {}
    size = 1
    while images:
        ends = {image: Path(*image.parts[-size:]).as_posix() for image in images}
        number = Counter(ends.values())
        done = {i for i in images if number[ends[i]] == 1 or size >= len(i.parts)}
        names |= {image: ends[image] for image in done}
        images, size = images - done, size + 1
    return names
