"""The effective receptive field: where it is known exactly, and what training does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, effective_field, receptive_field


def row_of_convolutions(n: int) -> nn.Sequential:
    layers = [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(n)]
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / 9)
    return nn.Sequential(*layers)


def test_of_averages_by_hand():
    found = effective_field(row_of_convolutions(2), torch.rand(3, 1, 9, 9))
    triangle = np.array([1, 2, 3, 2, 1]) / 9
    expected = np.zeros((9, 9))
    expected[2:7, 2:7] = np.outer(triangle, triangle)
    np.testing.assert_allclose(found.weights, expected, atol=1e-7)
    assert found.position == (4, 4)
    # all 25 pixels are above 4.55 % of the middle one
    assert found.size == pytest.approx(5)
    variance = 2 * (1 + 0 + 1) / 3
    assert found.spread == pytest.approx((variance**0.5,) * 2)


@pytest.mark.parametrize("n", [4, 16, 36])
def test_grows_with_the_root_of_the_depth(n):
    """Luo et al. 2016, section 2.2: n layers of uniform weights, sqrt(n)."""
    found = effective_field(row_of_convolutions(n), torch.rand(1, 1, 81, 81))
    assert found.spread[0] == pytest.approx((n * 2 / 3) ** 0.5, rel=1e-4)
    assert receptive_field(row_of_convolutions(n)).size == (2 * n + 1,) * 2


@pytest.mark.parametrize("ndim", [2, 3])
def test_lies_inside_the_receptive_field(ndim):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(ndim=ndim, width=4, depth=1)).eval()
    field = receptive_field(network)
    size = 2 * (field.halo[0] // 2 * 2 + 4)
    images = torch.rand((2, 1) + (size,) * ndim)
    place = (size // 2 + 1,) * ndim
    found = effective_field(network, images, place)
    assert found.weights.shape == (size,) * ndim
    assert found.weights.sum() == pytest.approx(1)
    inside = tuple(
        slice(p - b, p + a + 1)
        for p, b, a in zip(place, field.before, field.after, strict=True)
    )
    assert found.weights[inside].sum() == pytest.approx(1)
    assert 1 <= found.size <= field.size[0]


def test_weights_and_gradients_are_left_alone():
    network = build_network(NetworkConfig(width=2, depth=1)).eval()
    with torch.inference_mode():
        effective_field(network, np.random.default_rng(0).random((1, 1, 8, 8)))
    assert all(p.grad is None for p in network.parameters())


def test_nothing_counts_for_a_constant():
    network = row_of_convolutions(1)
    nn.init.zeros_(network[0].weight)
    found = effective_field(network, torch.rand(1, 1, 5, 5))
    assert not found.weights.any()
    assert found.size == 0


def test_training_makes_it_larger():
    """To find the right answer far away the network must learn to look there."""
    torch.manual_seed(0)
    far = 6
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()]
    for _ in range(6):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(8, 1, 1))
    images = torch.randn(4, 1, 20, 32)
    target = torch.roll(images, far, dims=3) + torch.roll(images, -far, dims=3)
    before = effective_field(network, images)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(100):
        optimiser.zero_grad()
        nn.functional.mse_loss(network(images), target).backward()
        optimiser.step()
    after = effective_field(network, images)
    assert after.spread[1] > 1.3 * before.spread[1]
    assert after.spread[1] > after.spread[0]
