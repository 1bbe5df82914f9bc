"""A linear classifier in closed form, which can be differentiated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 0.01
"""Weight of the penalty, relative to the features' mean square."""
SCALE = 6.0
"""Logits per unit of the regression's target, which is 0 or 1."""


def solve_ridge(
    features: Tensor, classes: Tensor, ridge: float = RIDGE, scale: float = SCALE
) -> tuple[Tensor, Tensor]:
    """Solve a linear classifier in closed form, each class counting the same.

    Ridge regression onto the classes' indicators (Hoerl & Kennard 1970); it can be
    differentiated with respect to the features.

    Parameters
    ----------
    features : Tensor
        float32 (P, D), of P painted pixels.
    classes : Tensor
        int64 (P,), indices from 0, each of them there.
    ridge : float
        Weight of the penalty relative to the mean square of the features.
    scale : float
        What the regression's output is multiplied by to make logits.

    Returns
    -------
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    """
    x = features.double()
    indicators = torch.nn.functional.one_hot(classes).double()
    counts = indicators.sum(0).clamp(min=1)
    share = (indicators / counts).sum(1, keepdim=True) / len(counts)
    mean = (share * x).sum(0)
    level = (share * indicators).sum(0)
    centred = x - mean
    gram = centred.T @ (share * centred)
    penalty = ridge * gram.diagonal().mean() + 1e-8
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    slope = torch.linalg.solve(
        gram + penalty * eye, centred.T @ (share * (indicators - level))
    )
    weight = scale * slope.T
    bias = scale * level - weight @ mean
    return weight.float(), bias.float()
