"""Files that hold several images, of which one is opened."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from napari_fcn.errors import SeveralImagesWarning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_THUMBNAIL = 100
"""What has so many times fewer pixels than the largest is no image of its own."""
_told: set[str] = set()


def warn_of_others(path: Path, sizes: Sequence[int], name: str = "") -> None:
    """Warn once if a file holds more images than the one that is opened, the largest.

    Parameters
    ----------
    path : Path
        The file.
    sizes : sequence of int
        Pixels of each image in it.
    name : str
        What the file calls the one that is opened.
    """
    images = [n for n in sizes if n * _THUMBNAIL >= max(sizes)]
    if len(images) < 2 or str(path) in _told:
        return
    _told.add(str(path))
    which = f"the largest, {name!r}," if name else "the first of the largest"
    warnings.warn(
        f"{path.name} holds {len(images)} images; {which} is opened. Save another one "
        "as a file of its own to use it.",
        SeveralImagesWarning,
        stacklevel=4,
    )
