"""The loss of the published U-Net: pixels between touching objects count most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_fcn.engine.masked import IGNORE
from napari_fcn.engine.pixel_losses import cross_entropy
from napari_fcn.engine.weight_maps import border_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def border_cross_entropy(
    logits: Tensor, target: Tensor, w0: float = 10.0, sigma: float = 5.0
) -> Tensor:
    """Cross-entropy with the border weight map, a weighted mean over annotated pixels.

    Ronneberger et al. 2015, eq. 1 and 2. The first class is the background; objects
    are what touches within one of the others.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    w0, sigma : float
        Weight and width in pixels of the border term, as for `border_weights`.

    Returns
    -------
    Tensor
        Scalar; 0 where nothing is annotated.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    maps = [border_weights(_objects(t), w0, sigma) for t in target.cpu().numpy()]
    weights = torch.from_numpy(np.stack(maps)).to(logits.device)
    even = torch.ones(logits.shape[1], device=logits.device)
    return cross_entropy(logits, target, even, weights)


def _objects(target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each object of a crop a number; 0 is background, `IGNORE` unknown."""
    objects = np.where(target == IGNORE, IGNORE, 0)
    count = 0
    for value in range(1, int(target.max(initial=0)) + 1):
        connected, found = ndimage.label(target == value)
        inside = connected > 0
        objects[inside] = connected[inside] + count
        count += found
    return objects
