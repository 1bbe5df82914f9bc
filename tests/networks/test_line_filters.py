"""Fixed filters that are long and narrow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.networks import receptive_field
from napari_fcn.networks.line_filters import LineFilters

EDGE = 49
FROM_MIDDLE = np.mgrid[:EDGE, :EDGE] - EDGE // 2


@pytest.fixture(scope="module")
def filters() -> LineFilters:
    return LineFilters(1.2, 6.0)


@torch.no_grad()
def middle(filters: LineFilters, image: np.ndarray) -> torch.Tensor:
    """Return means and curvatures, largest and smallest, in the middle."""
    found = filters(torch.as_tensor(image, dtype=torch.float32)[None, None])
    return found[0, :, EDGE // 2, EDGE // 2]


def across(angle: float) -> np.ndarray:
    """Return how far each pixel is from a line through the middle."""
    y, x = FROM_MIDDLE
    return y * np.cos(angle) - x * np.sin(angle)


@pytest.mark.parametrize("angle", np.arange(8) * np.pi / 8)
def test_valleys_and_ridges_of_any_direction_have_their_curvature(filters, angle):
    valley = middle(filters, 0.5 + 0.001 * across(angle) ** 2)
    assert valley[2] == pytest.approx(0.002 * 1.2**2, rel=1e-2)
    ridge = middle(filters, 0.5 - 0.001 * across(angle) ** 2)
    assert ridge[3] == pytest.approx(-0.002 * 1.2**2, rel=1e-2)
    # a valley is brighter beside its bottom, so along it the mean is smallest
    assert valley[1] == pytest.approx(0.5 + 0.001 * 1.2**2, abs=1e-4)
    assert valley[0] > valley[1] + 0.02


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0])
def test_ramps_have_no_curvature(filters, angle):
    found = middle(filters, 0.4 + 0.005 * across(angle))
    assert found.tolist() == pytest.approx([0.4, 0.4, 0, 0], abs=1e-5)


def test_a_line_is_told_from_what_is_round():
    dark_line = 1.0 - (abs(across(np.pi / 8)) < 2)
    dark_disc = 1.0 - (np.hypot(*FROM_MIDDLE) < 2)
    small, long = LineFilters(1.2, 1.2), LineFilters(1.2, 6.0)
    in_small = middle(small, dark_disc)[2] / middle(small, dark_line)[2]
    in_long = middle(long, dark_disc)[2] / middle(long, dark_line)[2]
    assert in_small > 1
    assert in_long < 0.5


def test_channels_are_seen_one_by_one():
    image = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    found = LineFilters(0.8, 3.0)(image)
    assert found.shape == (2, 12, 24, 32)
    alone = LineFilters(0.8, 3.0)
    for channel in range(3):
        expected = alone(image[:, [channel]])
        assert torch.allclose(found[:, channel::3], expected, atol=1e-5)


def test_turned_images_have_turned_lines(filters):
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = filters(image)
    for same in (lambda t: t.rot90(1, (2, 3)), lambda t: t.flip(3)):
        assert torch.allclose(filters(same(image)), same(found), atol=1e-5)


def test_a_constant_image_has_no_edge_at_its_border(filters):
    found = filters(torch.full((1, 1, 8, 12), 0.7))
    assert found[0, :2].flatten().tolist() == pytest.approx([0.7] * 2 * 96, abs=1e-5)
    assert found[0, 2:].abs().max() < 1e-5


def test_how_far_they_see_is_known(filters):
    assert receptive_field(filters, 2).size == (31, 31)
