"""Strokes from another project, taken over onto the same image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.config import ClassInfo, default_colour
from napari_fcn.errors import UserError
from napari_fcn.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fcn.data.strokes import StrokeStore
    from napari_fcn.project import ProjectImage

_AT_ONCE = 1 << 22


def take_from_project(
    folder: Path,
    image: ProjectImage,
    store: StrokeStore,
    classes: tuple[ClassInfo, ...],
) -> tuple[int, tuple[ClassInfo, ...]]:
    """Paint what another project holds of an image where nothing is painted yet.

    Classes are told by their names; those that are not there yet are added.

    Parameters
    ----------
    folder : Path
        The other project; it is only read.
    image : ProjectImage
        The image here.
    store : StrokeStore
        Its labels.
    classes : tuple of ClassInfo
        The classes here.

    Returns
    -------
    int
        How many pixels were painted.
    tuple of ClassInfo
        The classes, with new ones.

    Raises
    ------
    UserError
        If there is no project, or the image is not in it.
    """
    other = Project.open(folder)
    theirs = _same_image(other, image)
    labels = theirs.labels(folder, writable=False)
    classes, table = _translation(other.record.classes, classes)
    step = max(1, _AT_ONCE // max(1, math.prod(store.shape[1:])))
    painted = 0
    store.commit()
    for start in range(0, store.shape[0], step):
        where = slice(start, start + step)
        mine, found = np.asarray(store[where]), table[np.asarray(labels[where])]
        new = (mine == 0) & (found > 0)
        painted += int(new.sum())
        store[where] = np.where(new, found, mine)
    store.commit()
    return painted, classes


def _same_image(other: Project, image: ProjectImage) -> ProjectImage:
    fitting = [i for i in other.record.images if i.label_shape == image.label_shape]
    for same in (
        [i for i in fitting if i.fingerprint and i.fingerprint == image.fingerprint],
        [i for i in fitting if i.name == image.name],
        fitting if len(fitting) == 1 else [],
    ):
        if same:
            return same[0]
    raise UserError(
        f"There is no image like {image.name} in {other.folder.name}; choose a project "
        "with the same image."
    )


def _translation(
    theirs: tuple[ClassInfo, ...], mine: tuple[ClassInfo, ...]
) -> tuple[tuple[ClassInfo, ...], np.ndarray]:
    """Return the classes, and a table from their numbers to ours."""
    table = np.zeros(256, np.uint8)
    for info in theirs:
        same = [c for c in mine if c.name == info.name]
        if info.background and not same:
            same = [c for c in mine if c.background]
        if not same:
            free = next(v for v in range(2, 256) if v not in {c.value for c in mine})
            new = {"value": free, "background": False, "colour": default_colour(free)}
            same = [info.model_copy(update=new)]
            mine = (*mine, *same)
        table[info.value] = same[0].value
    return mine, table
