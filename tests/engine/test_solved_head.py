from __future__ import annotations

import pytest
import torch
from pretraining.logistic import solve as solve_differentiably

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.solved_head import (
    PENALTY,
    balanced_accuracy,
    balanced_shares,
    body_features,
    head_of,
    moments,
    ridge,
    set_head,
    solve_head,
    solve_logistic,
    suited_precision,
)
from napari_fcn.networks import build_network

SOLVERS = pytest.mark.parametrize("solve", [solve_logistic, solve_differentiably])


@SOLVERS
def test_separable_classes_are_told_apart_whatever_their_number(solve):
    random = torch.Generator().manual_seed(0)
    few, many = torch.full((3, 4), 2.0), torch.full((500, 4), -1.0)
    features = torch.cat([few, many])
    features += 0.1 * torch.randn(features.shape, generator=random)
    classes = torch.tensor([1] * 3 + [0] * 500)
    weight, bias = solve(features, classes)
    logits = features @ weight.T + bias
    assert (logits.argmax(1) == classes).all()
    middle = torch.full((1, 4), 0.5) @ weight.T + bias  # halfway: neither is likelier
    assert float(middle.diff().abs()) < 0.5


def test_it_is_the_solution_of_the_weighted_problem():
    """scikit-learn's solver, with the penalty in its units, finds the same."""
    linear = pytest.importorskip("sklearn.linear_model")
    random = torch.Generator().manual_seed(2)
    classes = torch.tensor([0] * 30 + [1] * 10 + [2] * 5)
    x = torch.randn(45, 3, generator=random) + classes[:, None] * torch.tensor(
        [1, 2, 0]
    )
    weight, bias = solve_logistic(x, classes, 0.1)
    share = (1 / (3 * torch.bincount(classes).double()))[classes]
    mean = share @ x.double()
    deviation = (share @ (x - mean) ** 2).sqrt()
    other = linear.LogisticRegression(C=1 / 0.1, tol=1e-8, max_iter=1000)
    other.fit(((x - mean) / deviation).numpy(), classes.numpy(), share.numpy())
    mine = torch.softmax(x @ weight.T + bias, 1).numpy()
    theirs = other.predict_proba(((x - mean) / deviation).numpy())
    assert abs(mine - theirs).max() < 1e-3


def test_a_precision_is_a_gaussian_prior_of_the_weights():
    """At the solution the slope of the penalised cross-entropy is 0."""
    random = torch.Generator().manual_seed(3)
    x = torch.randn(90, 4, generator=random).double()
    classes = (x[:, 0] + torch.randn(90, generator=random) > 0).long()
    mixed = torch.randn(4, 4, generator=random).double()
    precision = 0.2 * (mixed @ mixed.T + 0.1 * torch.eye(4))
    weight, bias = solve_logistic(x.float(), classes, precision)
    share = balanced_shares(classes)
    mean, deviation = moments(x, share)
    standard = (weight.double() * deviation).requires_grad_()
    logits = (x - mean) / deviation @ standard.T + bias + weight.double() @ mean
    apart = torch.nn.functional.cross_entropy(logits, classes, reduction="none")
    prior = (standard @ precision * standard).sum() / 2
    (slope,) = torch.autograd.grad(share @ apart + prior, standard)
    assert float(weight.abs().max()) > 0.1
    assert float(slope.abs().max()) < 1e-4


def test_features_that_are_used_together_are_believed_together():
    """The first feature alone tells the classes apart; the prior knows a partner."""
    classes = torch.arange(4000) % 2
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(5))
    x[:, 0] += 2 * classes
    together = torch.eye(3, dtype=torch.float64)
    together[0, 1] = together[1, 0] = -0.9
    solved, _ = solve_logistic(x, classes, together.inverse())
    (first, partner, other), _ = solved.abs()
    (_, alone, _), _ = solve_logistic(x, classes, 1.0)[0].abs()
    assert partner > 0.4 * first
    assert max(alone, other) < 0.1 * partner


def test_what_hardly_varies_where_one_painted_can_be_believed_less():
    """The second feature tells a little, and where nothing is painted it is large."""
    random = torch.Generator().manual_seed(6)
    classes = torch.arange(400) % 2
    x = torch.randn(400, 2, generator=random)
    x[:, 0] += 2 * classes
    x[:, 1] = 0.001 * (x[:, 1] + classes)
    usual, _ = solve_logistic(x, classes)
    careful, _ = solve_logistic(x, classes, least=0.1)
    elsewhere = torch.tensor([0.0, 1.0])
    assert (usual @ elsewhere).abs().max() > 100
    assert (careful @ elsewhere).abs().max() < 1
    assert torch.allclose(careful[:, 0], usual[:, 0], rtol=0.2)


def test_a_number_is_that_times_the_identity():
    random = torch.Generator().manual_seed(7)
    x, classes = torch.randn(50, 3, generator=random), torch.arange(50) % 3
    one, other = (solve_logistic(x, classes, p) for p in (0.2, ridge(3, 0.2)))
    for mine, theirs in zip(one, other, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


@SOLVERS
def test_equal_features_do_not_break_it(solve):
    weight, bias = solve(torch.ones(6, 4), torch.tensor([0, 1] * 3))
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()


def test_a_class_without_pixels_is_never_chosen():
    random = torch.Generator().manual_seed(4)
    features = torch.randn(60, 5, generator=random)
    order = torch.arange(60) % 3
    there = torch.tensor([1, 3, 4])
    covariance = torch.eye(5) + 0.5
    weight, bias = solve_head(features[None], there[order], 6, covariance)
    anywhere = 100 * torch.randn(1000, 5, generator=random)
    logits = anywhere @ weight.T + bias
    assert set(logits.argmax(1).tolist()) == {1, 3, 4}
    solved = solve_logistic(features, order, suited_precision(order, covariance))
    wanted = anywhere @ solved[0].T + solved[1]
    assert torch.allclose(logits[:, there], wanted, atol=1e-3)


def test_of_two_scales_the_finer_one_counts_twice():
    random = torch.Generator().manual_seed(6)
    classes = torch.arange(80) % 2
    scales = [torch.randn(80, 3, generator=random) + classes[:, None] for _ in "ab"]
    joined = torch.cat(scales, 1)[None]
    weight, bias = solve_head(joined, classes, 2, torch.eye(3))
    apart = [solve_head(part[None], classes, 2, torch.eye(3)) for part in scales]
    logits = torch.stack([f @ w.T + b for f, (w, b) in zip(scales, apart, strict=True)])
    found = torch.cat(scales, 1) @ weight.T + bias
    expected = 2 / 3 * logits[0] + 1 / 3 * logits[1]
    assert torch.allclose(found, expected, atol=1e-5)


def test_few_pixels_are_believed_less():
    def penalty(*counts: int) -> float:
        classes = torch.repeat_interleave(torch.tensor(counts))
        precision = suited_precision(classes, torch.eye(3))
        penalty = float(precision[0, 0])
        assert torch.allclose(precision, ridge(3, penalty))
        return penalty

    assert penalty(5000, 5000) == pytest.approx(PENALTY)
    assert penalty(60, 60) == pytest.approx(30 / 120)
    assert penalty(1000, 5) == pytest.approx(30 / 20, rel=0.01)
    assert penalty(5, 5, 5) > penalty(50, 50, 50) > penalty(500, 500, 500)


def test_the_prior_holds_for_few_pixels_only():
    covariance = torch.tensor([[1.5, -0.5], [-0.5, 0.5]])
    few = suited_precision(torch.arange(30) % 2, covariance)
    many = suited_precision(torch.arange(1000) % 2, covariance)
    assert torch.allclose(many, ridge(2))
    excess = (few - ridge(2)) / (1 - PENALTY)
    assert torch.allclose(excess.inverse(), covariance.double())


def test_balanced_accuracy_counts_each_class_the_same():
    weight, bias = torch.tensor([[1.0], [-1.0], [0.0]]), torch.zeros(3)
    features = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, 1.0])[:, None]
    classes = torch.tensor([0, 0, 0, 0, 1, 1])  # all of the first, half of the second
    assert balanced_accuracy(weight, bias, features, classes) == pytest.approx(0.75)
    assert balanced_accuracy(weight, bias, features[:0], classes[:0]) == 0


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_head_that_was_set_gives_its_logits(ndim):
    network = build_network(NetworkConfig(ndim=ndim, width=4, depth=1)).eval()
    image = torch.randn(1, 1, *(8,) * ndim)
    features = body_features(network, image)
    weight, bias = torch.randn(2, 4), torch.randn(2)
    set_head(network, weight, bias)
    wanted = torch.einsum("kd,nd...->nk...", weight, features)
    wanted = wanted + bias.view(1, 2, *[1] * ndim)
    assert torch.allclose(network(image), wanted, atol=1e-5)
    assert all(map(torch.equal, head_of(network), (weight, bias)))


def test_pixels_in_several_lights_count_once_each_but_are_as_many_painted():
    random = torch.Generator().manual_seed(0)
    classes = torch.tensor([0, 1] * 40)
    lights = torch.randn(3, 80, 4, generator=random) + classes[:, None]
    found = solve_head(lights, classes, 2, torch.eye(4))
    effective = 1 / balanced_shares(classes).square().sum()
    assert effective == pytest.approx(80)
    precision = ridge(4, 30 / 80)
    expected = solve_logistic(lights.flatten(0, 1), classes.repeat(3), precision)
    assert torch.allclose(found[0], expected[0], atol=1e-3)
    assert torch.allclose(found[1], expected[1], atol=1e-3)
