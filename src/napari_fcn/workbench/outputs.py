"""Where results may go: to a place that takes them, and never over what they need."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_fcn.data.files import remove
from napari_fcn.data.ome_zarr import is_zarr
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMATS = (".tif", ".tiff", ".png", ".zarr", ".npy")
"""Suffixes of the formats that results can be written in."""
_UNFINISHED = ".xxxxxxxx."
"""Stands for what `atomic_path` puts before the name of what it has not finished."""


def check_file(target: Path, needed: Iterable[Path] = ()) -> None:
    """Check before any work is done that a file can be written.

    Parameters
    ----------
    target : Path
        The file, there or not.
    needed : iterable of Path
        Files and folders that must stay as they are.

    Raises
    ------
    UserError
        If it is a folder or a device, lies where nothing can be written, or would
        replace what is needed.
    """
    try:
        _check_place(target)
        for path in needed:
            _check_apart(target, path)
    except (OSError, ValueError) as error:  # too long, or with a zero in it
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{target.name} cannot be the name of a file ({reason}); choose another."
        ) from error


def check_result(
    target: Path,
    n_axes: int,
    needed: Iterable[Path] = (),
    *,
    whole_numbers: bool = True,
) -> None:
    """Check before any work is done that an image can be written.

    Parameters
    ----------
    target : Path
        As given to `write_array`; the suffix names the format.
    n_axes : int
        Of the image.
    needed : iterable of Path
        Files and folders that must stay as they are.
    whole_numbers : bool
        Whether its values are integers.

    Raises
    ------
    UserError
        As `check_file`, if the format does not take it, or if a folder would be
        replaced that is not an earlier result.
    """
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(
            f"Cannot tell the format of {target.name}: end the name in one of "
            f"{', '.join(FORMATS)}."
        )
    if suffix == ".png" and not whole_numbers:
        raise UserError(
            f"PNG holds whole numbers only: write {target.stem}.tif in place of "
            f"{target.name}."
        )
    place, needed = written_to(target, n_axes), list(needed)
    if not os.path.isdir(place):
        check_file(place, needed)
    elif not _is_result(place, suffix):
        raise UserError(
            f"{place} is a folder with other things in it; choose another name."
        )
    else:
        check_file(place / "x")
        for path in needed:
            _check_apart(place, path)
    if place.is_file() and (suffix == ".zarr" or place != target):
        raise UserError(f"{place} is a file, not a folder; choose another name.")


def written_to(target: Path, n_axes: int) -> Path:
    """Return the file or folder that appears: a stack of PNGs is a folder."""
    stack = target.suffix.lower() == ".png" and n_axes > 2
    return target.with_suffix("") if stack else target


def remove_leftovers(target: Path) -> None:
    """Remove what a killed process left of an unfinished `target` beside it.

    Only for a target that nobody else is writing now.

    Parameters
    ----------
    target : Path
        A file or folder that `atomic_path` writes.
    """
    pattern = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(target.name)}")
    with suppress(OSError):
        for path in target.parent.iterdir():
            if pattern.fullmatch(path.name):
                remove(path)


def _check_place(target: Path) -> None:
    if target.is_dir():
        raise UserError(f"{target} is a folder; give the name of a file to write.")
    if target.exists() and not target.is_file():
        raise UserError(f"{target} is a device or the like; choose another name.")
    target.with_name(_UNFINISHED + target.name).exists()  # too long a name is an error
    parent = target.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{parent} is not a folder; choose another place.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{parent} cannot be written to; choose another place.")


def _check_apart(target: Path, needed: Path) -> None:
    """Refuse a target that is, holds, or lies inside what is needed."""
    here, there = target.resolve(), needed.resolve()
    same = target.exists() and needed.exists() and os.path.samefile(target, needed)
    if same or here.is_relative_to(there) or there.is_relative_to(here):
        raise UserError(
            f"Writing {target} would replace or change {needed}, which is still "
            "needed; choose another name."
        )


def _is_result(folder: Path, suffix: str) -> bool:
    """Tell whether a folder is what `write_array` makes, and may be replaced."""
    if suffix == ".zarr":
        return is_zarr(folder) or not any(folder.iterdir())
    name = re.compile(rf"{re.escape(folder.name)}_\d+\.png")
    return suffix == ".png" and all(name.fullmatch(p.name) for p in folder.iterdir())
