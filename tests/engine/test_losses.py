"""Losses: by hand, by finite differences, and under whatever hypothesis invents."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.losses import (
    IGNORE,
    LOSSES,
    build_loss,
    class_balance_weights,
    cross_entropy,
    focal,
    power_jaccard,
    soft_dice,
    soft_jaccard,
)
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network

NAMES = [*LOSSES, "ce+jaccard", "cldice:2", "0.5*ce+0.01*boundary"]


def row(probabilities: list[float]) -> torch.Tensor:
    """Logits (1, 2, 1, P) of two classes from the probabilities of class 1."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack((1 - p, p)).log().view(1, 2, 1, -1)


def example(
    spatial: tuple[int, ...] = (4, 5), dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *spatial, generator=generator, dtype=dtype)
    target = torch.randint(-1, 3, (2, *spatial), generator=generator)
    return logits.requires_grad_(), target


def test_class_balance_weights_by_hand() -> None:
    target = torch.tensor([0] * 9 + [2] + [IGNORE] * 5)
    weights = class_balance_weights(target, 3)
    # totals are as 3 : 1 (roots of 9 and 1), with mean 1 over the 10 pixels
    torch.testing.assert_close(weights, torch.tensor([7.5 / 9, 0.0, 2.5]))


def test_class_balance_weights_without_annotation() -> None:
    weights = class_balance_weights(torch.full((2, 3), IGNORE), 2)
    assert weights.tolist() == [0, 0]


def test_cross_entropy_by_hand() -> None:
    logits, target = row([0.2, 0.6, 0.9]), torch.tensor([[[0, 0, 1]]])
    terms = [-math.log(0.8), -math.log(0.4), -math.log(0.9)]
    root = math.sqrt(2)
    balanced = (root * (terms[0] + terms[1]) / 2 + terms[2]) / (root + 1)
    assert cross_entropy(logits, target).item() == pytest.approx(balanced)
    plain = cross_entropy(logits, target, class_weights=torch.ones(2))
    assert plain.item() == pytest.approx(sum(terms) / 3)
    doubled = cross_entropy(logits, target, class_weights=torch.tensor([1.0, 2.0]))
    assert doubled.item() == pytest.approx((terms[0] + terms[1] + 2 * terms[2]) / 4)


def test_cross_entropy_with_a_weight_map() -> None:
    logits, target = row([0.2, 0.6, 0.9]), torch.tensor([[[0, IGNORE, 1]]])
    weights = torch.tensor([[[3.0, 100.0, 1.0]]])
    loss = cross_entropy(logits, target, torch.ones(2), weights)
    expected = (-3 * math.log(0.8) - math.log(0.9)) / 4
    assert loss.item() == pytest.approx(expected)
    nothing = cross_entropy(logits, target, torch.ones(2), torch.zeros(1, 1, 3))
    assert nothing.item() == 0


def test_focal_by_hand() -> None:
    loss = focal(row([0.2, 0.6]), torch.tensor([[[0, 1]]]))
    expected = -(0.2**2 * math.log(0.8) + 0.4**2 * math.log(0.6)) / 2
    assert loss.item() == pytest.approx(expected)


def test_focal_without_focus_is_the_cross_entropy() -> None:
    logits, target = example()
    plain = cross_entropy(logits, target, class_weights=torch.ones(3))
    torch.testing.assert_close(focal(logits, target, gamma=0.0), plain)


# class 1: p = 0.2, 0.6, 0.9 with truth 0, 0, 1; class 0 is the complement
BY_HAND = [
    (soft_dice, (2 * 0.9 + 1) / (1.7 + 1 + 1), (2 * 1.2 + 1) / (1.3 + 2 + 1)),
    (soft_jaccard, (0.9 + 1) / (1.7 + 1 - 0.9 + 1), (1.2 + 1) / (1.3 + 2 - 1.2 + 1)),
    (
        power_jaccard,
        (0.9 + 1) / (0.04 + 0.36 + 0.81 + 1 - 0.9 + 1),
        (1.2 + 1) / (0.64 + 0.16 + 0.01 + 2 - 1.2 + 1),
    ),
]


@pytest.mark.parametrize(("loss", "one", "zero"), BY_HAND)
def test_overlap_losses_by_hand(loss, one, zero) -> None:
    logits, target = row([0.2, 0.6, 0.9]), torch.tensor([[[0, 0, 1]]])
    assert loss(logits, target).item() == pytest.approx(1 - (one + zero) / 2)


@pytest.mark.parametrize("loss", [soft_dice, soft_jaccard, power_jaccard])
def test_overlap_losses_average_over_classes_present(loss) -> None:
    logits, target = row([0.5, 0.5]), torch.tensor([[[0, 0]]])
    three = torch.cat((logits, torch.full_like(logits[:, :1], -1e9)), 1)
    torch.testing.assert_close(loss(logits, target), loss(three, target))


def test_power_one_is_the_plain_jaccard() -> None:
    logits, target = example()
    torch.testing.assert_close(
        power_jaccard(logits, target, power=1.0), soft_jaccard(logits, target)
    )


@pytest.mark.parametrize("name", NAMES)
def test_right_is_better_than_wrong(name) -> None:
    target = torch.tensor([[[0, 1], [1, 0]]])
    right = 20 * torch.stack((target == 0, target == 1), 1).float()
    loss = build_loss(name)
    assert loss(right, target).item() == pytest.approx(0, abs=1e-6)
    assert loss(-right, target) > 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spatial", [(4, 5), (2, 3, 2)])
def test_gradients(name, spatial) -> None:
    logits, target = example(spatial)
    assert torch.autograd.gradcheck(lambda x: build_loss(name)(x, target), logits)


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_have_no_gradient(name) -> None:
    logits, target = example()
    build_loss(name)(logits, target).backward()
    gradient = logits.grad.movedim(1, -1)
    assert (gradient[target == IGNORE] == 0).all()
    assert (gradient[target != IGNORE] != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_have_no_influence(name) -> None:
    logits, target = example()
    other = torch.where((target == IGNORE).unsqueeze(1), 77.0, logits)
    loss = build_loss(name)
    assert loss(logits, target).item() == loss(other, target).item()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_annotated(name, dtype) -> None:
    logits, target = example(dtype=dtype)
    loss = build_loss(name)(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert loss.requires_grad
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_computed_in_float32(name) -> None:
    logits, target = example(dtype=torch.bfloat16)
    loss = build_loss(name)
    assert loss(logits, target).dtype == torch.float32
    assert loss(logits, target).item() == loss(logits.float(), target).item()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_must_match(name) -> None:
    logits, target = example()
    with pytest.raises(ValueError, match="differ"):
        build_loss(name)(logits, target[:, 1:])


def test_weight_map_must_match() -> None:
    logits, target = example()
    with pytest.raises(ValueError, match="differ"):
        cross_entropy(logits, target, pixel_weights=torch.ones(3))


def test_sums() -> None:
    logits, target = example()
    total = cross_entropy(logits, target) + soft_dice(logits, target)
    torch.testing.assert_close(build_loss("ce + dice")(logits, target), total)
    total = 0.5 * focal(logits, target, 3.0) + power_jaccard(logits, target, 1.5)
    given = build_loss("0.5 * focal:3 + power-jaccard:1.5")(logits, target)
    torch.testing.assert_close(given, total)


@pytest.mark.parametrize("name", ["", "nonsense", "ce+", "2*", "CE", "ce:2", "2*ce*2"])
def test_unknown_names_list_the_known_ones(name) -> None:
    known = "boundary, ce, ce-border, cldice, dice, focal, jaccard, power-jaccard"
    with pytest.raises(UserError, match=f"{known}|cannot be used"):
        build_loss(name)


@pytest.mark.parametrize(
    "name", ["x*ce", "-1*ce", "nan*ce", "focal:", "focal:inf", "power-jaccard:3"]
)
def test_numbers_out_of_range(name) -> None:
    with pytest.raises(UserError, match="number between"):
        build_loss(name)


def test_deep_supervision_halves_the_weight_from_level_to_level() -> None:
    logits, target = example()
    levels = (logits, 2 * logits, 3 * logits)
    one, two, three = (cross_entropy(x, target) for x in levels)
    loss = build_loss("ce")(levels, target)
    torch.testing.assert_close(loss, one / 2 + two / 4 + three / 4)
    torch.testing.assert_close(build_loss("ce")((logits,), target), one)


def test_deep_supervision_reaches_every_level_of_the_decoder() -> None:
    network = build_network(NetworkConfig(name="unet-deep", width=2, depth=3))
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[:, ::2] = 1
    logits = network(torch.rand(1, 1, 16, 16))
    assert [x.shape for x in logits] == [(1, 2, 16, 16)] * 3
    build_loss("ce")(logits, target).backward()
    assert all(head[0].weight.grad.any() for head in network.auxiliary)


@settings(max_examples=60)
@given(
    name=st.sampled_from(NAMES),
    n_classes=st.integers(1, 4),
    spatial=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    scale=st.sampled_from([0.0, 1.0, 100.0, 1e4, 1e30]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 2**31),
)
def test_never_nan(name, n_classes, spatial, scale, dtype, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(2, n_classes, *spatial, generator=generator)
    logits = logits.to(dtype).requires_grad_()
    target = torch.randint(-1, n_classes, (2, *spatial), generator=generator)
    loss = build_loss(name)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert loss >= 0
    assert logits.grad.isfinite().all()
