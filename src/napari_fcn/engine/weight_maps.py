"""A weight for each pixel, so that thin gaps between touching objects count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_fcn.engine.masked import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEGLIGIBLE = 1e-4


def border_weights(
    instances: NDArray[Any], w0: float = 10.0, sigma: float = 5.0
) -> NDArray[np.float32]:
    """Weigh each pixel by its class and by how near it is to two objects.

    w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))² / 2σ²), with d_1 and d_2 the distances
    to the border of the nearest and of the second nearest object, and w_c the balance
    of objects and background. Ronneberger et al. 2015, eq. 2 and section 3, with their
    w_0 = 10 and σ = 5 pixels. The border of an object is its outermost pixels.

    Parameters
    ----------
    instances : ndarray
        Integers, 2D or 3D: 0 background, a number for each object, `IGNORE` where not
        annotated.
    w0 : float
        Weight of the border term.
    sigma : float
        How wide it is, in pixels.

    Returns
    -------
    ndarray
        float32, same shape; 0 where not annotated. The class part has mean 1 over the
        annotated pixels, and its sums over objects and background are equal. Border
        terms below 1e-4 are left out.
    """
    nearest = np.full((2, *instances.shape), np.inf)
    reach = sigma * math.sqrt(2 * math.log(max(w0 / _NEGLIGIBLE, 1)))
    boxes = ndimage.find_objects(np.maximum(instances, 0))
    for value, box in enumerate(boxes, start=1):
        if box is not None:
            _bring_near(nearest, instances, value, box, math.ceil(reach))
    weights = _class_weights(instances)
    weights += w0 * np.exp(-(nearest.sum(0) ** 2) / (2 * sigma**2))
    weights[instances == IGNORE] = 0
    return weights.astype(np.float32)


def _bring_near(
    nearest: NDArray[np.float64],
    instances: NDArray[Any],
    value: int,
    box: tuple[slice, ...],
    reach: int,
) -> None:
    """Take one more object into the two smallest distances around it."""
    around = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    distance = ndimage.distance_transform_edt(~_border(instances[around] == value))
    first, second = nearest[0][around], nearest[1][around]
    np.minimum(second, np.maximum(first, distance), out=second)
    np.minimum(first, distance, out=first)


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of an object with a neighbour outside; the image's edge is not one."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=1))


def _class_weights(instances: NDArray[Any]) -> NDArray[np.float64]:
    weights = np.zeros(instances.shape)
    masks = [m for m in (instances == 0, instances > 0) if m.any()]
    pixels = sum(int(m.sum()) for m in masks)
    for mask in masks:
        weights[mask] = pixels / (len(masks) * mask.sum())
    return weights
