"""Projects of older formats, brought up to date; what they said before is kept."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEWEST: Final = 2


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


def keep_original(file: Path, version: int) -> None:
    """Copy a ``project.json`` beside itself before it is replaced.

    The labels are the same in all formats, so an older napari-fcn can go on with the
    copy put back. Where nothing can be written, nothing is replaced either.
    """
    target = file.with_name(f"project-format-{version}.json")
    with suppress(OSError, UserError), atomic_path(target) as temporary:
        shutil.copyfile(file, temporary)
