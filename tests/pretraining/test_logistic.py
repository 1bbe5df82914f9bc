from __future__ import annotations

import pytest
import torch
from pretraining.logistic import solve

from napari_fcn.engine.solved_head import solve_logistic


def pixels(number, classes, seed=0):
    random = torch.Generator().manual_seed(seed)
    of = torch.arange(number) % classes
    features = torch.randn(number, 6, generator=random) * 3 + 1
    features[:, 0] += 4 * of
    features[:, 1] = 0
    return features, of


@pytest.mark.parametrize(("number", "classes"), [(8, 2), (300, 2), (300, 3)])
def test_it_is_what_the_package_finds_from_the_same_pixels(number, classes):
    features, of = pixels(number, classes)
    mine, theirs = solve(features, of), solve_logistic(features, of)
    assert torch.allclose(mine[0], theirs[0], atol=1e-3)
    assert torch.allclose(mine[1], theirs[1], atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_its_gradient_is_that_of_the_solution(classes):
    features, of = pixels(60, classes)
    random = torch.Generator().manual_seed(1)
    direction = torch.randn(features.shape, generator=random)
    direction[:, 1] = 0
    weights = torch.randn(classes, 6, generator=random)

    def value(x):
        weight, bias = solve(x, of)
        return (weight * weights).sum() + bias[0]

    features.requires_grad_()
    (gradient,) = torch.autograd.grad(value(features), features)
    with torch.no_grad():
        step = 0.05 * direction
        slope = (value(features + step) - value(features - step)) / 0.1
    assert torch.isfinite(gradient).all()
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=0.02)
