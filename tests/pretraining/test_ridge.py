from __future__ import annotations

import pytest
import torch
from pretraining.ridge import solve_ridge


def test_it_is_the_weighted_least_squares_solution():
    x = torch.tensor([[0.0], [1.0], [2.0], [5.0]])
    classes = torch.tensor([0, 0, 0, 1])
    weight, bias = solve_ridge(x, classes, ridge=0.0, scale=1.0)
    # Each class counts 1/2: means 1 and 5, so the slope is cov / var of the mixture.
    variance = 0.5 * ((1 + 0 + 1) / 3) + 4.0
    assert float(weight[1]) == pytest.approx(0.5 * 0.5 * 4 / variance, rel=1e-5)
    assert float(weight[1] * 3 + bias[1]) == pytest.approx(0.5, rel=1e-5)
    assert torch.allclose(weight[0], -weight[1])


def test_it_can_be_differentiated_with_respect_to_the_features():
    random = torch.Generator().manual_seed(1)
    x = torch.randn(12, 3, generator=random, dtype=torch.float64, requires_grad=True)
    classes = torch.arange(12) % 3

    def logits(features: torch.Tensor) -> torch.Tensor:
        return solve_ridge(features, classes)[0].double()

    assert torch.autograd.gradcheck(logits, x, eps=1e-3, atol=1e-2)
