"""Losses that add up over pixels: cross-entropy, weighted or focal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fcn.engine.masked import (
    IGNORE,
    annotated,
    check_same_shape,
    not_zero,
    surprise,
)

if TYPE_CHECKING:
    from torch import Tensor


def class_balance_weights(target: Tensor, n_classes: int) -> Tensor:
    """Weights that let each class count by the square root of its share of pixels.

    With n_c annotated pixels of class c among n, a pixel of class c weighs in
    proportion to sqrt(n_c / n) / n_c. This lies half way between counting pixels
    (a small class is drowned) and counting classes (a single stray pixel weighs as
    much as the whole background); the exponent 1/2 is that of the subsampling of
    frequent words in Mikolov et al. 2013, eq. 5.

    Parameters
    ----------
    target : Tensor
        int64, any shape; `IGNORE` where not annotated.
    n_classes : int
        Number of classes K.

    Returns
    -------
    Tensor
        float32 (K,), scaled to mean 1 over the annotated pixels; 0 for classes that
        are absent.
    """
    counts = torch.bincount(target[target != IGNORE], minlength=n_classes).float()
    roots = counts.sqrt()
    scale = counts.sum() / roots.sum().clamp(min=1)
    return scale * roots / counts.clamp(min=1)


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """Weighted mean over annotated pixels of -log p(true class).

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    class_weights : Tensor, optional
        (K,), not negative; `class_balance_weights` of this target by default.
    pixel_weights : Tensor, optional
        (N, *spatial), not negative, as the weight map of the U-Net
        (Ronneberger et al. 2015, eq. 1); multiplies the class weights.

    Returns
    -------
    Tensor
        Scalar; 0 where the weights sum to 0.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    scores, truth = annotated(logits, target)
    if class_weights is None:
        class_weights = class_balance_weights(truth, logits.shape[1])
    weights = class_weights.to(scores)[truth]
    if pixel_weights is not None:
        check_same_shape("pixel weights", pixel_weights, target)
        weights = weights * pixel_weights[target != IGNORE].to(scores)
    losses = surprise(scores, truth)
    return (weights * losses).sum() / not_zero(weights.sum())


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean over annotated pixels of -(1 - p)^gamma log p, p that of the true class.

    Lin et al. 2017, "Focal loss for dense object detection", eq. 4.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    gamma : float
        Focusing exponent; 0 gives the plain cross-entropy.

    Returns
    -------
    Tensor
        Scalar.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    scores, truth = annotated(logits, target)
    losses = surprise(scores, truth)
    # 1 - p without cancellation; the floor keeps the slope finite for gamma < 1
    missing = (-torch.expm1(-losses)).clamp(min=1e-12)
    return (missing**gamma * losses).sum() / max(len(truth), 1)
