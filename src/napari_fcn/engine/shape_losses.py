"""Losses that know where pixels are: clDice for thin structures, boundary loss.

Both are meant as terms of a sum, such as ``dice+cldice`` or ``ce+0.01*boundary``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from napari_fcn.engine.masked import IGNORE, masked_images, mean_over_present

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def soft_cldice(
    logits: Tensor, target: Tensor, iterations: int = 10, smooth: float = 1.0
) -> Tensor:
    """One minus the soft centreline Dice, averaged over the classes present.

    With S(·) the soft skeleton, per class and pooled over the batch: precision
    T_p = (Σ S(p) y + s) / (Σ S(p) + s), sensitivity T_s = (Σ S(y) p + s) / (Σ S(y) + s)
    and clDice = 2 T_p T_s / (T_p + T_s). Shit et al. 2021, "clDice - a novel
    topology-preserving loss function for tubular structure segmentation", algorithm 2.
    The first class is the background; its skeleton is not looked at.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    iterations : int
        Rounds of thinning: at least half the width in pixels of what is to be found.
    smooth : float
        The term s in pixels.

    Returns
    -------
    Tensor
        Scalar between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    p, y = masked_images(logits, target)
    if p.shape[1] > 1:
        p, y = p[:, 1:], y[:, 1:]
    thin_p, thin_y = soft_skeleton(p, iterations), soft_skeleton(y, iterations)
    precision = (_per_class(thin_p * y) + smooth) / (_per_class(thin_p) + smooth)
    sensitivity = (_per_class(thin_y * p) + smooth) / (_per_class(thin_y) + smooth)
    cldice = 2 * precision * sensitivity / (precision + sensitivity)
    return mean_over_present(1 - cldice, _per_class(y))


def soft_skeleton(images: Tensor, iterations: int) -> Tensor:
    """Thin images to their centrelines by minima and maxima of neighbours.

    Shit et al. 2021, algorithm 1: what an opening takes away is skeleton, of the image
    and of what is left of it after each erosion.

    Parameters
    ----------
    images : Tensor
        (N, K, *spatial) with values between 0 and 1.
    iterations : int
        Number of erosions.

    Returns
    -------
    Tensor
        Same shape.
    """
    skeleton = F.relu(images - _dilate(_erode(images)))
    for _ in range(iterations):
        images = _erode(images)
        rest = F.relu(images - _dilate(_erode(images)))
        skeleton = skeleton + F.relu(rest - skeleton * rest)
    return skeleton


def boundary(logits: Tensor, target: Tensor) -> Tensor:
    """Mean distance to the true boundary of what is on its wrong side, in pixels.

    Per class, the mean over annotated pixels of φ (p - y), with φ the `signed_distance`
    to the boundary of the truth. Kervadec et al. 2019, "Boundary loss for highly
    unbalanced segmentation", eq. 5, leave out the constant -φ y; with it a perfect
    prediction has loss 0, and gradients are the same.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).

    Returns
    -------
    Tensor
        Scalar, not negative. Images in which a class is not annotated at all, or
        nothing else is, count 0 for this class: there is no boundary.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    p, y = masked_images(logits, target)
    distance = signed_distance(target, logits.shape[1]).to(p)
    pixels = (target != IGNORE).sum().clamp(min=1)
    return mean_over_present(_per_class(distance * (p - y)) / pixels, _per_class(y))


def signed_distance(target: Tensor, n_classes: int) -> Tensor:
    """Distance of each annotated pixel to the boundary of each class.

    The boundary lies half a pixel before the nearest annotated pixel on its other
    side.

    Parameters
    ----------
    target : Tensor
        int64 (N, *spatial); `IGNORE` where not annotated.
    n_classes : int
        Number of classes K.

    Returns
    -------
    Tensor
        float32 (N, K, *spatial) on the CPU, in pixels: negative inside the class,
        positive outside, 0 where not annotated and where there is no boundary.
    """
    truth = target.cpu().numpy()
    seen = truth != IGNORE
    distances = np.zeros((len(truth), n_classes, *truth.shape[1:]), np.float32)
    for number, image in enumerate(truth):
        for label in np.unique(image[seen[number]]):
            inside = image == label
            outside = seen[number] & ~inside
            if outside.any():
                distances[number, label] = _from_both_sides(inside, outside)
    return torch.from_numpy(distances)


def _from_both_sides(
    inside: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    result = np.zeros(inside.shape)
    for here, there, sign in ((inside, outside, -1), (outside, inside, 1)):
        result[here] = sign * (ndimage.distance_transform_edt(~there)[here] - 0.5)
    return result


def _per_class(values: Tensor) -> Tensor:
    """Sum (N, K, *spatial) to (K,)."""
    return values.transpose(0, 1).flatten(1).sum(1)


def _dilate(images: Tensor) -> Tensor:
    """Maximum over each pixel and all of its neighbours."""
    pool = F.max_pool2d if images.ndim == 4 else F.max_pool3d
    return pool(images, 3, stride=1, padding=1)


def _erode(images: Tensor) -> Tensor:
    """Minimum over each pixel and its neighbours along the axes."""
    ndim = images.ndim - 2
    pool = F.max_pool2d if ndim == 2 else F.max_pool3d
    result = -images
    for axis in range(ndim):
        kernel = [3 if a == axis else 1 for a in range(ndim)]
        padding = [k // 2 for k in kernel]
        result = torch.maximum(result, pool(-images, kernel, 1, padding))
    return -result
