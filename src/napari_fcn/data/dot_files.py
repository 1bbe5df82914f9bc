"""Dots and counted boxes in files: CSV as napari writes it, and images of dots."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_fcn.data.dots import OBJECT, CountedBox, Dots
from napari_fcn.data.files import atomic_path
from napari_fcn.data.readers import open_image
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.data.source import ImageSource

_CLASS_COLUMNS = ("class", "label")
_MOST_CLASSES = 64


def read_dots(path: Path, source: ImageSource) -> Dots:
    """Read the dots of an image.

    Parameters
    ----------
    path : Path
        A CSV file with columns ``axis-0``, ``axis-1``, … in pixels, as napari saves a
        Points layer, and the number of the class in a column ``class`` if there are
        several; or an image of the size of the labels with the class at each object.
    source : ImageSource
        The image they belong to.

    Raises
    ------
    UserError
        If the file cannot be read or does not fit the image.
    """
    if path.suffix.lower() != ".csv":
        return _dots_of_image(path, source)
    rows = _read_rows(path)
    places = _places(path, rows, source)
    if not rows:
        return Dots.of(np.zeros((0, len(source.label_shape))))
    column = next((c for c in _CLASS_COLUMNS if c in rows[0]), None)
    if column is None:
        return Dots.of(places)
    return Dots.of(places, [_whole(path, row[column]) for row in rows])


def read_boxes(path: Path, source: ImageSource) -> tuple[CountedBox, ...]:
    """Read boxes with counts.

    Parameters
    ----------
    path : Path
        A CSV file with columns ``index`` (of the box), ``axis-0``, ``axis-1``, … (its
        corners, one row each, as napari saves a Shapes layer), ``count``, and ``class``
        where it is not all of one.
    source : ImageSource
        The image they belong to.

    Raises
    ------
    UserError
        If the file cannot be read or does not fit the image.
    """
    rows = _read_rows(path)
    places = _places(path, rows, source)
    if rows and not {"index", "count"} <= set(rows[0]):
        raise UserError(
            f"{path.name} needs the columns index and count, besides those of the "
            "corners."
        )
    axes, ndim = source.label_axes, source.ndim
    samples, spatial = list(axes.samples(ndim)), list(axes.spatial(ndim))
    corners: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        corners.setdefault(row["index"], []).append(number)
    boxes = []
    for numbers in corners.values():
        first = rows[numbers[0]]
        low = np.floor(places[numbers].min(0) + 0.5).astype(int)
        high = np.floor(places[numbers].max(0) + 0.5).astype(int)
        value = _whole(path, first["class"]) if "class" in first else OBJECT
        count = _number(path, first["count"])
        sizes = source.label_shape
        region = tuple(
            slice(
                max(0, int(low[a])), min(sizes[a], max(int(high[a]), int(low[a]) + 1))
            )
            for a in spatial
        )
        sample = tuple(int(low[a]) for a in samples)
        boxes.append(CountedBox(sample, region, {value: count}))
    return tuple(boxes)


def write_points(path: Path, dots: Dots) -> None:
    """Write dots as napari does, with their class in a column of its own.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    axes = [f"axis-{n}" for n in range(dots.places.shape[1])]
    with atomic_path(path) as temporary:  # noqa: SIM117 - closed before it is renamed
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["index", *axes, "class"])
            for number, (place, value) in enumerate(
                zip(dots.places.tolist(), dots.values.tolist(), strict=True)
            ):
                writer.writerow([number, *place, value])


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}).") from error
    for row in rows:
        if None in row or None in row.values():
            raise UserError(
                f"{path.name} has rows of different lengths; save it again."
            )
    return rows


def _places(
    path: Path, rows: list[dict[str, str]], source: ImageSource
) -> NDArray[np.float64]:
    """Return the coordinates along the axes of the labels, (n, ndim)."""
    wanted = len(source.label_shape)
    if not rows:
        return np.zeros((0, wanted))
    columns = [c for c in rows[0] if c.startswith("axis-")]
    values = [[_number(path, row[c]) for c in columns] for row in rows]
    places = np.asarray(values, np.float64).reshape(len(rows), len(columns))
    channel = source.axes.channel
    if len(columns) == wanted + 1 and channel is not None:
        return np.delete(places, channel, axis=1)
    if len(columns) < wanted:
        # axes of length one may be missing
        long = [i for i, n in enumerate(source.label_shape) if n > 1]
        if len(columns) == len(long):
            full = np.zeros((len(rows), wanted))
            full[:, long] = places
            return full
    if len(columns) != wanted:
        raise UserError(
            f"{path.name} has {len(columns)} columns of coordinates but {source.name} "
            f"has {wanted} axes without its channels; check that they belong together."
        )
    return places


def _number(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path.name} holds {text[:40]!r} in place of a number.")
    return value


def _whole(path: Path, text: str) -> int:
    value = _number(path, text)
    if value != int(value) or not 0 < value < 65536:
        raise UserError(
            f"{path.name} holds the class {text[:40]!r}; use whole numbers from 1."
        )
    return int(value)


def _dots_of_image(path: Path, source: ImageSource) -> Dots:
    """Find the dots in an image: its pixels that are not 0, or their patches."""
    data = np.asarray(open_image(path).data[...])
    wanted = source.label_shape
    if data.ndim == len(wanted) + 1 and data.shape[-1] in (3, 4):
        data = data[..., :3].max(-1)  # a picture of dots in some colour
    if data.shape != wanted and [n for n in data.shape if n > 1] == [
        n for n in wanted if n > 1
    ]:
        data = data.reshape(wanted)
    if data.shape != wanted:
        raise UserError(
            f"{path.name} has shape {data.shape} but {source.name} needs dots of shape "
            f"{wanted}; check that they belong together."
        )
    values = [v for v in np.unique(data).tolist() if v]
    if len(values) > _MOST_CLASSES or any(v != int(v) or v < 0 for v in values):
        raise UserError(
            f"{path.name} holds {len(values)} different values; an image of dots has 0 "
            "where there is none, and else the number of the class."
        )
    found = [_centres(data == v, source) for v in values]
    numbers: Sequence[Any] = [OBJECT] if len(values) == 1 else values
    return Dots.of(
        np.concatenate([np.zeros((0, len(wanted))), *found]),
        np.repeat(np.asarray(numbers, np.int64), [len(f) for f in found]),
    )


def _centres(mask: NDArray[np.bool_], source: ImageSource) -> NDArray[np.float64]:
    """Return single pixels, or the middles of patches where most are larger."""
    axes = source.label_axes
    near = np.zeros((3,) * mask.ndim, bool)
    index: list[Any] = [1] * mask.ndim
    for axis in axes.spatial(source.ndim):
        index[axis] = slice(None)
    near[tuple(index)] = True
    labels, number = ndimage.label(mask, near)
    if 2 * number > int(mask.sum()):  # dots that touch are dots all the same
        return np.argwhere(mask).astype(np.float64)
    middles = ndimage.center_of_mass(mask, labels, range(1, number + 1))
    return np.asarray(middles, np.float64).reshape(number, mask.ndim)
