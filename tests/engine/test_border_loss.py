"""The cross-entropy of the published U-Net, with its border weight map."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_fcn.engine.border_loss import border_cross_entropy
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.masked import IGNORE
from napari_fcn.engine.weight_maps import border_weights


def gap() -> torch.Tensor:
    """Two objects of one class with a gap, a third of another class, and unknown."""
    return torch.tensor([[[1, 1, 0, 0, 0, 1, 1, 2, IGNORE, 0]]])


def test_by_hand():
    target = gap()
    p = torch.full((1, 3, 1, 10), 0.25)
    p[:, 0] = 0.5
    weights = border_weights(np.array([[1, 1, 0, 0, 0, 2, 2, 3, IGNORE, 0]]))[0]
    losses = [-math.log(0.5 if t == 0 else 0.25) for t in target[0, 0].tolist()]
    known = [i for i in range(10) if i != 8]
    total = sum(weights[i] * losses[i] for i in known)
    expected = total / sum(weights[i] for i in known)
    found = border_cross_entropy(p.log(), target)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_wrong_pixel_in_the_gap_costs_most():
    target = torch.zeros(1, 9, 21, dtype=torch.int64)
    target[:, 2:7, 3:9] = 1
    target[:, 2:7, 11:17] = 1
    right = 8 * torch.stack((target == 0, target == 1), 1).float()

    def cost(name: str, y: int, x: int) -> float:
        wrong = right.clone()
        wrong[0, :, y, x] = wrong[0, :, y, x].flip(0)
        return build_loss(name)(wrong, target).item()

    assert cost("ce-border", 4, 10) > 4 * cost("ce-border", 0, 0)
    assert cost("ce", 4, 10) == pytest.approx(cost("ce", 0, 0))
    assert cost("ce-border:0", 4, 10) == pytest.approx(cost("ce-border:0", 0, 0))
