"""The last layer solved from strokes as the package does it, to be differentiated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_fcn.engine.solved_head import (
    PENALTY,
    balanced_shares,
    for_raw_features,
)

if TYPE_CHECKING:
    from torch import Tensor

_STEPS = 8
_EPSILON = 1e-4


def solve(
    features: Tensor, classes: Tensor, penalty: float = PENALTY
) -> tuple[Tensor, Tensor]:
    """Fit a linear classifier, each class counting the same.

    The solution is that of `napari_fcn.engine.solved_head.solve_logistic`, found with
    Newton's method. Its derivative with respect to the features is that of the
    solution, by the implicit function theorem: one more Newton step, whose Hessian is
    taken for constant (Gould et al. 2016, "On differentiating parameterized argmin
    and argmax problems").

    Parameters
    ----------
    features : Tensor
        float32 (P, D), of P painted pixels.
    classes : Tensor
        int64 (P,), indices from 0, each of them there.
    penalty : float
        On half the sum of the squared weights, relative to the mean cross-entropy.

    Returns
    -------
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    """
    share = balanced_shares(classes)
    x = features.double()
    mean = share @ x
    deviation = (share @ (x - mean) ** 2 + _EPSILON**2).sqrt()
    inputs = F.pad((x - mean) / deviation, (0, 1), value=1.0)
    target = F.one_hot(classes).double()
    solved = _newton(inputs, target, share, penalty)
    return for_raw_features(solved[:, :-1], solved[:, -1], mean, deviation)


def _newton(inputs: Tensor, target: Tensor, share: Tensor, penalty: float) -> Tensor:
    """Return weights (K, D + 1), the last of them for the constant input."""
    fixed = inputs.detach()
    solved = fixed.new_zeros(target.shape[1], fixed.shape[1])
    with torch.no_grad():
        for _ in range(_STEPS):
            solved = solved - _step(solved, fixed, fixed, target, share, penalty)
    return solved - _step(solved, inputs, fixed, target, share, penalty)


def _step(
    solved: Tensor,
    inputs: Tensor,
    fixed: Tensor,
    target: Tensor,
    share: Tensor,
    penalty: float,
) -> Tensor:
    """Return the Newton step; only its gradient depends on `inputs`."""
    penalties = solved.new_full((solved.shape[1],), penalty)
    penalties[-1] = 0
    found = (inputs @ solved.T).softmax(1)
    slope = (share[:, None] * (found - target)).T @ inputs + penalties * solved
    found = found.detach()
    spread = torch.diag_embed(found) - found[:, :, None] * found[:, None]
    curved = torch.einsum("p,pkl,pd,pe->kdle", share, spread, fixed, fixed)
    size = solved.numel()
    # all biases may rise together: without a little on the diagonal it is singular
    diagonal = penalties.repeat(len(solved)) + 1e-6
    curvature = curved.reshape(size, size) + torch.diag(diagonal)
    return torch.linalg.solve(curvature, slope.flatten()).view_as(solved)
