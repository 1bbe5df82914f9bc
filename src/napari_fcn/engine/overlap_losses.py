"""Losses that compare areas: Dice and Jaccard, and the power form of Jaccard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.engine.masked import annotated, mean_over_present, probabilities

if TYPE_CHECKING:
    from torch import Tensor


def soft_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient, averaged over the classes present.

    Per class, pooled over the batch: (2 Σpy + s) / (Σp + Σy + s), after Milletari et
    al. 2016 ("V-Net", section 3), whose denominator has squares instead of plain sums.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
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
    p, y = probabilities(*annotated(logits, target))
    overlap, sizes = (p * y).sum(1), y.sum(1)
    dice = (2 * overlap + smooth) / (p.sum(1) + sizes + smooth)
    return mean_over_present(1 - dice, sizes)


def power_jaccard(
    logits: Tensor, target: Tensor, power: float = 2.0, smooth: float = 1.0
) -> Tensor:
    """One minus the soft Jaccard index in power form, averaged over classes present.

    Per class, pooled over the batch: (Σpy + s) / (Σp^a + Σy^a - Σpy + s), after
    Duque-Arias et al. 2021, "On power Jaccard losses for semantic segmentation".

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    power : float
        The exponent a, between 1 (the plain soft Jaccard) and 2.
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
    p, y = probabilities(*annotated(logits, target))
    overlap, sizes = (p * y).sum(1), y.sum(1)
    # y is 0 or 1, so y^a is y
    union = (p**power).sum(1) + sizes - overlap
    return mean_over_present(1 - (overlap + smooth) / (union + smooth), sizes)


def soft_jaccard(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Jaccard index: `power_jaccard` with exponent 1.

    Rahman & Wang 2016, "Optimizing intersection-over-union in deep neural networks
    for image segmentation".

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    smooth : float
        Added to numerator and denominator, in pixels.

    Returns
    -------
    Tensor
        Scalar between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    return power_jaccard(logits, target, power=1.0, smooth=smooth)
