"""The last layer of a network solved from painted pixels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from napari_fcn.networks.scaled_head import ScaledHead

if TYPE_CHECKING:
    from torch import Tensor, nn

PENALTY = 0.03
"""On half the squared weights of the last layer, for features of deviation 1."""
_WORTH = 30.0
"""The penalty for one painted pixel."""
_ITERATIONS = 50
_LEAST_DEVIATION = 1e-4
_UNSEEN = -7.0
"""The logit of a class without pixels: those of the others sum up to 0 anywhere."""


def body_features(network: nn.Module, image: Tensor) -> Tensor:
    """Return what the layer ``head`` of a network is a linear classifier of.

    Parameters
    ----------
    network : nn.Module
        With a layer ``head``.
    image : Tensor
        float32 (N, C, *spatial), which fits the total stride.

    Returns
    -------
    Tensor
        float32 (N, D, *spatial).
    """
    kept: list[Any] = []
    head = network.get_submodule("head")
    hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        # what was not learned here need not be computed
        getattr(network, "learned", network)(image)
    finally:
        hook.remove()
    features: Tensor = head.join(kept[0]) if isinstance(head, ScaledHead) else kept[0]
    return features


def body_features_at(network: nn.Module, image: Tensor, pixels: Tensor) -> Tensor:
    """Return `body_features`, (N, P, D), at P pixels of the flattened image."""
    return body_features(network, image).flatten(2)[..., pixels].mT


def set_head(network: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Put a linear classifier into the layer ``head`` of a network, in place.

    Parameters
    ----------
    network : nn.Module
        Its head is a convolution of kernel size 1.
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    """
    parameters = dict(network.get_submodule("head").named_parameters())
    with torch.no_grad():
        parameters["weight"].copy_(weight.view_as(parameters["weight"]))
        parameters["bias"].copy_(bias)


def head_of(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Return copies of weight (K, D) and bias (K,) of ``head``, float32, on the CPU."""
    parameters = dict(network.get_submodule("head").named_parameters())
    weight, bias = (
        parameters[name].detach().to("cpu", torch.float32, copy=True)
        for name in ("weight", "bias")
    )
    return weight.flatten(1), bias


def balanced_accuracy(
    weight: Tensor, bias: Tensor, features: Tensor, classes: Tensor
) -> float:
    """Return the share of pixels that a linear classifier has right, mean over classes.

    Parameters
    ----------
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    features : Tensor
        float32 (P, D).
    classes : Tensor
        int64 (P,), the true ones; those that are not there do not count.

    Returns
    -------
    float
        Between 0 and 1; 0 without pixels.
    """
    right = (features @ weight.T + bias).argmax(1) == classes
    share = balanced_shares(classes.unique(return_inverse=True)[1])
    return float(share @ right.double())


def balanced_shares(classes: Tensor) -> Tensor:
    """Return float64 (P,) weights of pixels, with which each class counts the same."""
    counts = torch.bincount(classes)
    return (1 / (len(counts) * counts.double()))[classes]


def suited_precision(classes: Tensor, covariance: Tensor) -> Tensor:
    """Return how precisely weights are known beforehand, for so many painted pixels.

    A penalty is a Gaussian prior of the weights (Bishop 2006, section 3.3.1). Relative
    to the mean cross-entropy it weighs less with every pixel, down to `PENALTY`, for
    which the shipped weights were learned. Only what exceeds that says which weights
    are likely: with much painted, strokes know better. Pixels count as far as their
    weights are even: a thousand of one class and five of another tell as much as twenty
    (the effective sample size of Kish 1965, section 11.7).

    Parameters
    ----------
    classes : Tensor
        int64 (P,), indices from 0, each of them there.
    covariance : Tensor
        (D, D), positive definite, of the weights of a class over many tasks.

    Returns
    -------
    Tensor
        float64 (D, D), for `solve_logistic`.
    """
    excess = suited_penalty(classes) - PENALTY
    return ridge(len(covariance), PENALTY) + excess * covariance.double().inverse()


def suited_penalty(classes: Tensor) -> float:
    """Return the penalty that suits so many painted pixels.

    Parameters
    ----------
    classes : Tensor
        int64 (P,), as for `suited_precision`.

    Returns
    -------
    float
        `PENALTY`, or more.
    """
    effective = 1 / float(balanced_shares(classes).square().sum())
    return max(PENALTY, _WORTH / effective)


def ridge(features: int, penalty: float = PENALTY) -> Tensor:
    """Return the precision, float64 (D, D), with which all D weights count alike."""
    return penalty * torch.eye(features, dtype=torch.float64)


def for_raw_features(
    weight: Tensor, bias: Tensor, mean: Tensor, deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a classifier of standardised features as float32 one of raw features."""
    scaled = weight / deviation
    return scaled.float(), (bias - scaled @ mean).float()


def moments(
    features: Tensor, share: Tensor, least: float = _LEAST_DEVIATION
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (D,) of features (P, D), never quite 0.

    Parameters
    ----------
    features : Tensor
        float64 (P, D).
    share : Tensor
        float64 (P,), weights of the pixels that add up to 1.
    least : float
        Added to the deviations.
    """
    mean = share @ features
    deviation = (share @ (features - mean) ** 2).sqrt() + least
    return mean, deviation


def solve_logistic(
    features: Tensor,
    classes: Tensor,
    precision: Tensor | float = PENALTY,
    least: float = _LEAST_DEVIATION,
) -> tuple[Tensor, Tensor]:
    """Fit a linear classifier, each class counting the same.

    Multinomial logistic regression on standardised features with a Gaussian prior of
    the weights w: minimises the mean cross-entropy plus half the sum of w' P w over the
    classes, where P is the precision. With a multiple of the identity that is a ridge
    penalty (le Cessie & van Houwelingen 1992). It is convex: L-BFGS finds the one
    solution, with weights v = C' w and P = C C' times the mean of its diagonal.

    Parameters
    ----------
    features : Tensor
        float32 (P, D), of P painted pixels, on the CPU.
    classes : Tensor
        int64 (P,), indices from 0, each of them there.
    precision : Tensor or float
        float64 (D, D), positive definite, of the weights of a class for standardised
        features; a number for that times the identity.
    least : float
        Added to the deviations by which features are divided, so that what hardly
        varies where one painted does not count for much elsewhere.

    Returns
    -------
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    """
    share = balanced_shares(classes)
    x = features.double()
    mean, deviation = moments(x, share, least)
    inputs = (x - mean) / deviation
    penalty, root = _penalty_and_root(precision)
    if root is not None:
        inputs = inputs @ root.T
    number = int(classes.max()) + 1
    weight = x.new_zeros(number, x.shape[1], requires_grad=True)
    bias = x.new_zeros(number, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def objective() -> float:
        optimiser.zero_grad()
        apart = F.cross_entropy(inputs @ weight.T + bias, classes, reduction="none")
        loss = share @ apart + penalty / 2 * weight.square().sum()
        loss.backward()
        return float(loss.detach())

    optimiser.step(objective)
    solved = weight.detach() if root is None else weight.detach() @ root
    return for_raw_features(solved, bias.detach(), mean, deviation)


def _penalty_and_root(precision: Tensor | float) -> tuple[float, Tensor | None]:
    """Return the mean penalty on weights, and C^-1 unless all count alike."""
    if not isinstance(precision, torch.Tensor):
        return precision, None
    penalty = float(precision.diagonal().mean())
    return penalty, torch.linalg.cholesky(precision / penalty).inverse()


def solve_head(
    features: Tensor, classes: Tensor, number: int, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Fit a linear classifier to painted pixels; classes without any are never chosen.

    Features of several scales have a classifier each, and the mean of their logits is
    taken, in which each scale weighs twice as much as the next coarser one: a weighted
    geometric mean of what they think probable (Genest & Zidek 1986, "Combining
    probability distributions", section 3).

    Parameters
    ----------
    features : Tensor
        float32 (V, P, S D), of each pixel in V lights, and of S scales one after the
        other; on the CPU.
    classes : Tensor
        int64 (P,), indices from 0.
    number : int
        Of all classes.
    covariance : Tensor
        (D, D), as for `suited_precision`.

    Returns
    -------
    weight : Tensor
        float32 (number, S D).
    bias : Tensor
        float32 (number,).
    """
    there, indices = classes.unique(return_inverse=True)
    precision = suited_precision(indices, covariance)
    indices = indices.repeat(len(features))
    features = features.flatten(0, 1)
    scales = features.split(len(covariance), dim=1)
    shares = _scale_shares(len(scales))
    solved = [solve_logistic(part, indices, precision) for part in scales]
    scaled = [(s * w, s * b) for s, (w, b) in zip(shares, solved, strict=True)]
    weight = torch.cat([weight for weight, _ in scaled], 1)
    bias = torch.stack([bias for _, bias in scaled]).sum(0)
    return with_unseen(weight, bias, there, number)


def with_unseen(
    weight: Tensor, bias: Tensor, there: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """Return a classifier of all classes, of which those not there are never chosen.

    Parameters
    ----------
    weight, bias : Tensor
        (K, D) and (K,), of K classes.
    there : Tensor
        int64 (K,), which of all classes these are.
    number : int
        Of all classes.

    Returns
    -------
    weights : Tensor
        (number, D).
    biases : Tensor
        (number,).
    """
    weights = weight.new_zeros(number, weight.shape[1])
    biases = bias.new_full((number,), _UNSEEN)
    weights[there], biases[there] = weight, bias
    return weights, biases


def _scale_shares(scales: int) -> list[float]:
    """Return how much each scale counts, finest first: twice as much as the next."""
    halves = [0.5**scale for scale in range(scales)]
    return [half / sum(halves) for half in halves]
