"""Where a layer lies in the world, carried over to the layers shown over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import CompositeAffine

if TYPE_CHECKING:
    from napari.layers import Layer

PLACED = ("units", "axis_labels", "scale", "translate", "rotate", "shear", "affine")
"""What says where a layer lies, as its attributes and events are called."""


def placement(layer: Layer, ndim: int) -> dict[str, Any]:
    """Return where the last axes of a layer lie, as the arguments of another one.

    Parameters
    ----------
    layer : Layer
        An image.
    ndim : int
        How many of its last axes.
    """
    axes = range(layer.ndim - ndim, layer.ndim)
    own = CompositeAffine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
        ndim=layer.ndim,
    ).set_slice(list(axes))
    return {
        "units": tuple(layer.units[i] for i in axes),
        "axis_labels": tuple(layer.axis_labels[i] for i in axes),
        "scale": own.scale,
        "translate": own.translate,
        "rotate": own.rotate,
        "shear": own.shear,
        "affine": layer.affine.set_slice(axes).affine_matrix,
    }


def follow(layer: Layer, other: Layer) -> None:
    """Move a layer to where the last axes of another one lie."""
    for name, value in placement(other, layer.ndim).items():
        present = getattr(layer, name)
        present = getattr(present, "affine_matrix", present)
        if not np.array_equal(present, value):
            setattr(layer, name, value)
