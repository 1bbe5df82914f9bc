"""Projects of older formats, brought up to date; the whole one stays beside it.

An older napari-fcn opens the copy. Files that are only ever replaced as a whole, which
are pixels and networks, are shared with it where the disk can do that (hard links), so
that a copy of a large project takes little room. All that is written in place or grows
(labels, logs of strokes, predictions, history) is copied.
"""

from __future__ import annotations

import glob
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from napari_fcn.data.files import atomic_path, is_full, remove
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEWEST: Final = 2
_SHARED = ("images", "models")
_LOCK = "in-use.json"
_MARK = "project.json"
"""What makes a folder a project; copied last, so that no half one looks like one."""


def _from_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Images have fingerprints, and boxes for testing only, since format 2."""
    return {**raw, "format": 2}


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def migrate(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``project.json`` in the newest format.

    Parameters
    ----------
    raw : dict
        As read, in any format up to the newest; it is not changed.
    """
    while (found := raw.get("format")) in _STEPS:
        raw = _STEPS[found](raw)
    return raw


def copy_project(folder: Path, target: Path) -> None:
    """Copy a project as it is; it appears at the target once it is complete.

    What an earlier copy has left that was killed is removed.

    Parameters
    ----------
    folder : Path
        The project; nobody else may change it meanwhile.
    target : Path
        Where the copy belongs; in the same folder as the project, so that the ways to
        images beside it stay right.

    Raises
    ------
    UserError
        If there is no room for it, or nothing may be written there.
    """
    for half in target.parent.glob(f".????????.{glob.escape(target.name)}"):
        remove(half)
    try:
        with atomic_path(target) as temporary:
            temporary.mkdir()
            for name in sorted(os.listdir(folder), key=_MARK.__eq__):
                if name != _LOCK:
                    _copy(folder / name, temporary / name, share=name in _SHARED)
    except UserError as error:
        cause = error.__cause__
        full = isinstance(cause, OSError) and is_full(cause)
        reason = "the disk is full" if full else str(cause)
        raise UserError(
            f"{folder.name} is of an older format and is copied before it is brought "
            f"up to date, but {reason}; see to it that {target.parent} has room and "
            "may be written to, and open it again."
        ) from error


def _copy(source: Path, target: Path, *, share: bool) -> None:
    """Copy a file or folder; links stay links."""
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        target.mkdir()
        for name in os.listdir(source):
            _copy(source / name, target / name, share=share)
    elif not (share and _linked(source, target)):
        shutil.copyfile(source, target)


def _linked(source: Path, target: Path) -> bool:
    """Share a file, if the disk can do that."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True
