"""clDice and boundary loss: by hand, and in what they are made for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_fcn.engine.losses import IGNORE, boundary, soft_cldice, soft_dice
from napari_fcn.engine.shape_losses import signed_distance, soft_skeleton


def logits_of(p: torch.Tensor) -> torch.Tensor:
    """Logits (1, 2, ...) of two classes from the probabilities (...) of class 1."""
    p = p.double().clamp(1e-9, 1 - 1e-9)
    return torch.stack((1 - p, p)).log()[None]


def bar(rows: slice, columns: slice, shape: tuple[int, int] = (9, 15)) -> torch.Tensor:
    image = torch.zeros(shape)
    image[rows, columns] = 1
    return image


def test_skeleton_of_a_bar_is_its_middle_line() -> None:
    thin = soft_skeleton(bar(slice(3, 6), slice(3, 12))[None, None], 3)[0, 0]
    # an opening with a cross and a box: one erosion leaves the middle row
    assert thin[4, 4:11].tolist() == [1] * 7
    assert thin[[3, 5], 4:11].sum() == 0
    assert thin[:3].sum() == thin[6:].sum() == 0


def test_skeleton_of_a_line_is_itself() -> None:
    line = bar(slice(4, 5), slice(2, 13))
    assert torch.equal(soft_skeleton(line[None, None], 2)[0, 0], line)
    in_3d = line.expand(1, 1, 1, 9, 15)
    assert torch.equal(soft_skeleton(in_3d, 2)[0, 0, 0], line)


def test_cldice_by_hand() -> None:
    # a line of 10 pixels, of which the prediction has 7 and 2 others beside it
    truth = bar(slice(4, 5), slice(2, 12))
    found = bar(slice(4, 5), slice(2, 9))
    found[0, 1:3] = 1
    precision, sensitivity = (7 + 1) / (9 + 1), (7 + 1) / (10 + 1)
    expected = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    loss = soft_cldice(logits_of(found), truth.long()[None])
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_cldice_of_probabilities_by_hand() -> None:
    # S(p) = p for a line of equal probabilities, S(y) = y
    truth = bar(slice(4, 5), slice(2, 12))
    precision, sensitivity = (5 + 1) / (5 + 1), (5 + 1) / (10 + 1)
    expected = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    loss = soft_cldice(logits_of(0.5 * truth), truth.long()[None])
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_cldice_minds_a_gap_more_than_width() -> None:
    truth = bar(slice(3, 6), slice(0, 15))
    gap, thin = truth.clone(), bar(slice(4, 5), slice(0, 15))
    gap[:, 6:9] = 0
    target = truth.long()[None]
    assert soft_dice(logits_of(gap), target) < soft_dice(logits_of(thin), target)
    assert soft_cldice(logits_of(gap), target) > soft_cldice(logits_of(thin), target)


def test_signed_distance_by_hand() -> None:
    target = torch.tensor([[[0, 0, 0, 1, 1, IGNORE, 0]]])
    one = [2.5, 1.5, 0.5, -0.5, -1.5, 0, 1.5]
    found = signed_distance(target, 3)
    assert found[0, 1, 0].tolist() == one
    assert found[0, 0, 0].tolist() == [-x for x in one]
    assert not found[0, 2].any()


def test_signed_distance_is_euclidean_in_3d() -> None:
    target = torch.zeros(1, 5, 5, 5, dtype=torch.int64)
    target[0, 2, 2, 2] = 1
    found = signed_distance(target, 2)
    assert found[0, 1, 0, 0, 0].item() == pytest.approx(math.sqrt(12) - 0.5)


def test_boundary_by_hand() -> None:
    target = torch.tensor([[[0, 0, 0, 1, 1, IGNORE]]])
    p = torch.tensor([[0.5, 0.0, 0.2, 1.0, 0.9, 1.0]])
    # both classes have the same errors, far from the boundary counted more
    expected = (2.5 * 0.5 + 0.5 * 0.2 + 1.5 * 0.1) / 5
    loss = boundary(logits_of(p), target)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_boundary_without_boundary_is_zero() -> None:
    logits = logits_of(torch.full((3, 4), 0.3))
    assert boundary(logits, torch.ones(1, 3, 4, dtype=torch.int64)).item() == 0


def test_boundary_gradient_is_that_of_the_paper() -> None:
    """The constant that makes a perfect prediction 0 does not change it."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 6, 7, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    target = torch.randint(0, 2, (1, 6, 7), generator=generator)
    (ours,) = torch.autograd.grad(boundary(logits, target), logits)
    published = (signed_distance(target, 2) * logits.softmax(1)).sum((0, 2, 3))
    (theirs,) = torch.autograd.grad(published.mean() / 42, logits)
    torch.testing.assert_close(ours, theirs)


def test_boundary_moves_the_edge_and_not_only_the_area() -> None:
    target = bar(slice(0, 9), slice(8, 15)).long()[None]
    near, far = target[0].float(), target[0].float()
    near, far = near.clone(), far.clone()
    near[:, 7] = 1
    far[:, 0] = 1
    assert soft_dice(logits_of(near), target).item() == pytest.approx(
        soft_dice(logits_of(far), target).item()
    )
    assert boundary(logits_of(far), target) > 5 * boundary(logits_of(near), target)
    assert np.isfinite(boundary(logits_of(far), target).item())
