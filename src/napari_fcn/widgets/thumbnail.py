"""Small pictures of images, for lists."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QIcon, QImage, QPixmap

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.project import Project, ProjectImage

EDGE = 96


def thumbnail_path(project: Path, key: str) -> Path:
    """Return where the picture of an image is kept."""
    return project / "images" / f"{key}.png"


def keep_thumbnail(project: Project, image: ProjectImage, data: Any) -> None:
    """Draw the middle of an image, unless that is done or cannot be."""
    path = thumbnail_path(project.folder, image.key)
    if path.exists():
        return
    with suppress(Exception):  # a full disk, or a lazy array that fails
        pixels = draw(data, image.axes.names)
        height, width = pixels.shape[:2]
        kind = QImage.Format.Format_RGB888
        QImage(pixels.tobytes(), width, height, 3 * width, kind).save(str(path))


def draw(data: Any, names: str) -> NDArray[np.uint8]:
    """Return a small picture, (Y, X, 3), of the middle plane of an image.

    Parameters
    ----------
    data : array
        The image.
    names : str
        One letter per axis; S are colours.
    """
    index: list[Any] = [n // 2 for n in data.shape]
    for letter in "YX":
        axis = names.index(letter)
        step = max(1, data.shape[axis] // EDGE)
        index[axis] = slice(None, None, step)
    colour = names.endswith("S") and data.shape[-1] in (3, 4)
    if colour:
        index[-1] = slice(0, 3)
    elif "C" in names:
        index[names.index("C")] = 0
    plane = np.asarray(data[tuple(index)], np.float32)
    if names.index("Y") > names.index("X"):
        plane = plane.swapaxes(0, 1)
    finite = plane[np.isfinite(plane)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    sound = np.nan_to_num(plane, nan=low, posinf=high, neginf=low)
    grey = ((sound - low) / max(high - low, 1e-9)).clip(0, 1) * 255
    return (grey if colour else np.repeat(grey[..., None], 3, -1)).astype(np.uint8)


def icon(path: Path) -> QIcon:
    """Return a picture as an icon; an empty one where there is none."""
    return QIcon(QPixmap(str(path))) if path.is_file() else QIcon()
