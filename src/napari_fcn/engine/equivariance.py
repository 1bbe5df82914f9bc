"""How far a prediction depends on the frame through which an image is seen.

A fully convolutional network commutes with shifts: exactly for shifts by multiples of
its total stride, and away from borders. By these functions one can see, on one's own
image, what is left elsewhere: between strides, and near borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.inputs import network_input
from napari_fcn.engine.predict import run_network
from napari_fcn.engine.tiling import pad_to_stride, round_up
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import DeviceName
    from napari_fcn.engine.model import Model


def frame_effect(
    model: Model,
    image: NDArray[np.float32],
    frame: Sequence[slice],
    device: DeviceName = "auto",
) -> NDArray[np.float32]:
    """Predict a part of an image alone, and compare with the same part of the whole.

    A frame that only starts later shows the effect of a shift; one that is cut on all
    sides, that of its borders.

    Parameters
    ----------
    model : Model
        A segmentation model.
    image : ndarray
        float32 (C, ...), normalised as for prediction.
    frame : sequence of slice
        The part, per spatial axis.
    device : str
        Where to compute.

    Returns
    -------
    ndarray
        float32, spatial shape of the frame: the largest change of the probability of
        any class.

    Raises
    ------
    UserError
        If the frame holds nothing of the image.
    """
    box = (slice(None), *frame)
    if not image[box].size:
        raise UserError("The frame holds nothing of the image; choose a larger one.")
    shape = image.shape[1:]
    inputs = network_input(
        model.config.network, image, [slice(0, n) for n in shape], shape
    )
    alone = _probabilities(model, inputs[box], device)
    whole = _probabilities(model, inputs, device)[box]
    return np.asarray(np.abs(alone - whole).max(0), np.float32)


def effect_by_distance(effect: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest effect at each distance from the border of the frame.

    Parameters
    ----------
    effect : ndarray
        As `frame_effect` returns it.

    Returns
    -------
    ndarray
        float32 (D,): at the outermost pixels, one pixel further inside, and so on.
    """
    inside = np.pad(np.ones(effect.shape, bool), 1)
    distance = ndimage.distance_transform_cdt(inside, "chessboard")
    rings = distance[(slice(1, -1),) * effect.ndim] - 1
    most = ndimage.maximum(effect, rings, np.arange(rings.max() + 1))
    return np.asarray(most, np.float32)


def _probabilities(
    model: Model, image: NDArray[np.float32], device: DeviceName
) -> NDArray[np.float32]:
    """Softmax (K, ...) of the whole image in one piece."""
    sizes = image.shape[1:]
    stride = model.receptive_field.stride
    pad = [round_up(n, s) - n for n, s in zip(sizes, stride, strict=True)]
    compute = choose_compute(device).exact()
    network = model.network.to(compute.device)
    logits = run_network(network, pad_to_stride(image, pad), compute)
    probabilities = torch.softmax(logits, 0).numpy()
    return np.asarray(probabilities[(slice(None), *(slice(n) for n in sizes))])
