from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.engine.masked import IGNORE
from napari_fcn.engine.teacher import TRUST, teacher_loss, trust

WANTED = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
UNDECIDED = torch.zeros(1, 2, 8, 8)


def half_annotated() -> torch.Tensor:
    target = torch.full((1, 8, 8), IGNORE)
    target[:, :4] = 1
    return target


def test_it_counts_less_the_more_is_annotated():
    target = half_annotated()
    one, four = (
        float(teacher_loss(WANTED, UNDECIDED, target, n)) for n in (TRUST, 4 * TRUST)
    )
    assert one == pytest.approx(np.log(2), rel=1e-5)  # of an undecided network
    assert one == pytest.approx(4 * four)


def test_what_is_known_is_trusted_against_few_annotated_pixels():
    assert [trust(n) for n in (0, 1, TRUST)] == [1, 1, 1]
    assert trust(4 * TRUST) == 0.25


def test_nothing_is_better_than_to_agree():
    target = half_annotated()
    agreed = float(teacher_loss(WANTED, WANTED, target, TRUST))
    for other in (UNDECIDED, -WANTED, 3 * WANTED):
        assert float(teacher_loss(WANTED, other, target, TRUST)) > agreed


def test_annotated_pixels_do_not_listen_to_the_teacher():
    target, output = half_annotated(), UNDECIDED.clone().requires_grad_()
    teacher_loss(WANTED, output, target, TRUST).backward()
    assert output.grad is not None
    assert (output.grad[:, :, :4] == 0).all()
    assert (output.grad[:, :, 4:] != 0).all()
    everywhere = torch.zeros_like(target)
    assert float(teacher_loss(WANTED, UNDECIDED, everywhere, TRUST)) == 0
