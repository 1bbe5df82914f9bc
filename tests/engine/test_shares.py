from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.masked import IGNORE
from napari_fcn.engine.shares import HeldShares
from napari_fcn.networks import build_network

FEW = (50, 50)
IMAGE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def network(ndim: int = 2) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkConfig(ndim=ndim, photo_features=ndim == 2)).eval()


def held(output, average=None, target=None, step=0, painted=FEW, shares=None):
    average = network() if average is None else average
    target = torch.full((2, 32, 32), IGNORE) if target is None else target
    shares = HeldShares() if shares is None else shares
    seen = (IMAGE, output, target)
    return shares.loss(average, seen, step, painted, nullcontext())


def own(average: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return average.learned(IMAGE)


def more_of(logits: torch.Tensor, by: float) -> torch.Tensor:
    return logits + torch.tensor([0.0, by]).view(1, 2, 1, 1)


def shares_of(logits):
    return logits.softmax(1).mean((0, 2, 3)).numpy()


def test_shares_as_they_were_cost_nothing_and_others_their_divergence():
    average = network()
    same = own(average)
    assert float(held(same, average)) == pytest.approx(0, abs=1e-5)
    for by in (-1.0, 1.0):
        before, now = shares_of(same), shares_of(more_of(same, by))
        expected = 4 * 8 * (before * np.log(before / now)).sum()
        assert expected > 1
        assert float(held(more_of(same, by), average)) == pytest.approx(
            expected, rel=1e-4
        )


def test_other_pixels_of_the_same_share_cost_nothing():
    average = network()
    moved = own(average).flip(-1)
    assert float(held(moved, average)) == pytest.approx(0, abs=1e-5)


def test_learning_from_it_alone_brings_the_share_back():
    average = network()
    offset = torch.tensor([0.0, 2.0], requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=0.1)
    same = own(average)
    for _ in range(100):
        optimiser.zero_grad()
        held(same + offset.view(1, 2, 1, 1), average).backward()
        optimiser.step()
    apart = float(offset.detach() @ torch.tensor([-1.0, 1.0]))
    assert apart == pytest.approx(0, abs=0.05)


def test_what_is_annotated_is_left_to_the_strokes():
    average = network()
    target = torch.full((2, 32, 32), IGNORE)
    target[:, :16] = 1
    output = more_of(own(average), 1.0).requires_grad_()
    held(output, average, target).backward()
    assert output.grad is not None
    assert (output.grad[:, :, :16] == 0).all()
    assert (output.grad[:, :, 16:] != 0).any()
    everywhere = torch.zeros_like(target)
    assert held(output, average, everywhere) is None


def test_it_is_looked_at_every_fourth_step():
    looked = [held(own(network()), step=step) is not None for step in range(8)]
    assert looked == [True, False, False, False] * 2


def test_it_counts_less_where_much_is_annotated():
    output = more_of(own(network()), 1.0)
    few, many, most = (float(held(output, painted=(n, n))) for n in (50, 4000, 40_000))
    assert few == many
    assert most == pytest.approx(few / 10)


def test_shares_are_held_until_forgotten():
    average, shares = network(), HeldShares()
    first = own(average)
    held(first, average, shares=shares)
    with torch.no_grad():
        average.head.bias += torch.tensor([0.0, 1.0])
    assert float(held(own(average), average, shares=shares)) > 0.1
    shares.forget()
    assert float(held(own(average), average, shares=shares)) == pytest.approx(
        0, abs=1e-5
    )


def test_a_class_that_vanished_comes_back():
    gone = torch.tensor([300.0, -300.0]).view(1, 2, 1, 1).expand(2, 2, 32, 32)
    gone = gone.clone().requires_grad_()
    loss = held(gone)
    loss.backward()
    assert np.isfinite(float(loss.detach()))
    assert (gone.grad[:, 0] > 0).all()
    assert (gone.grad[:, 1] < 0).all()


def test_a_class_without_strokes_may_take_as_much_as_it_likes():
    torch.manual_seed(0)
    average = build_network(NetworkConfig(out_channels=3)).eval()
    same = own(average)
    shift = torch.tensor([0.0, 0.0, 2.0]).view(1, 3, 1, 1)
    alone = held(same + shift, average, painted=(50, 50, 0))
    assert float(alone) == pytest.approx(0, abs=0.05)
    assert float(held(same + shift, average, painted=(50, 50, 50))) > 1
    assert held(same, average, painted=(50, 0, 0)) is None


def test_volumes_have_shares_too():
    average, volume = network(3), torch.rand(2, 1, 8, 16, 16)
    target = torch.full((2, 8, 16, 16), IGNORE)
    with torch.no_grad():
        output = average.learned(volume)
    more = output + torch.tensor([0.0, 1.0]).view(1, 2, 1, 1, 1)
    same, other = (
        HeldShares().loss(average, (volume, seen, target), 0, FEW, nullcontext())
        for seen in (output, more)
    )
    assert float(same) == pytest.approx(0, abs=1e-5)
    assert float(other) > 1
