"""Corrections: pieces and areas of a prediction taken over into the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.draw import ellipse, polygon
from skimage.measure import label

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fcn.data.strokes import StrokeStore

    Plane = tuple[int | slice, ...]


def connected_piece(
    prediction: NDArray[Any], point: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the piece of a prediction that a point lies in.

    Parameters
    ----------
    prediction : (Y, X) integers
        Predicted classes.
    point : (int, int)
        Row and column.

    Returns
    -------
    (Y, X) bool
        All pixels of the same class that touch each other, diagonals included.

    Raises
    ------
    UserError
        If the point lies outside.
    """
    inside = all(0 <= p < n for p, n in zip(point, prediction.shape, strict=True))
    if not inside:
        raise UserError("Click on the image, on a piece of the prediction.")
    pieces = label(prediction == prediction[point], connectivity=2)
    found: NDArray[np.bool_] = pieces == pieces[point]
    return found


def area_of(
    kind: str, corners: NDArray[np.floating[Any]], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the pixels inside a drawn shape.

    Parameters
    ----------
    kind : str
        ``ellipse``, whose corners are those of the box around it, or anything else
        that is closed, such as ``rectangle`` or ``polygon``.
    corners : (n, 2) float
        Row and column, at the middle of pixels.
    shape : (int, int)
        Of the plane.
    """
    mask = np.zeros(shape, bool)
    if kind == "ellipse":
        middle = corners.mean(axis=0)
        radii = np.maximum((corners.max(axis=0) - corners.min(axis=0)) / 2, 0.5)
        rows, columns = ellipse(*middle, *radii, shape=shape)
    else:
        rows, columns = polygon(corners[:, 0], corners[:, 1], shape)
    mask[rows, columns] = True
    return mask


def fill(store: StrokeStore, plane: Plane, mask: NDArray[np.bool_], value: int) -> int:
    """Paint a class over all pixels of a mask, as one stroke.

    Parameters
    ----------
    store : StrokeStore
        The labels.
    plane : tuple of int and slice
        Which plane of them.
    mask : (Y, X) bool
        Where.
    value : int
        The class; 0 takes annotation back.

    Returns
    -------
    int
        How many pixels have changed.
    """
    before = np.asarray(store[plane])
    return _write(store, plane, before, np.where(mask, value, before))


def fill_unpainted(
    store: StrokeStore,
    plane: Plane,
    mask: NDArray[np.bool_],
    values: NDArray[Any] | int,
) -> int:
    """Paint where nothing is painted yet, as one stroke; what is painted stays.

    Parameters
    ----------
    store : StrokeStore
        The labels.
    plane : tuple of int and slice
        Which plane of them.
    mask : (Y, X) bool
        Where.
    values : (Y, X) integers, or int
        The class of each pixel, or of all.

    Returns
    -------
    int
        How many pixels have changed.
    """
    before = np.asarray(store[plane])
    return _write(store, plane, before, np.where(mask & (before == 0), values, before))


def _write(
    store: StrokeStore, plane: Plane, before: NDArray[Any], after: NDArray[Any]
) -> int:
    changed = int((before != after).sum())
    if changed:
        store.commit()
        store[plane] = after
        store.commit()
    return changed
