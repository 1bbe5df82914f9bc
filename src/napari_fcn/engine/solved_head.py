"""The last layer of a network solved from painted pixels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

RIDGE = 0.01
"""Weight of the penalty, relative to the features' mean square."""
SCALE = 6.0
"""Logits per unit of the regression's target, which is 0 or 1."""


def body_features(network: nn.Module, image: Tensor) -> Tensor:
    """Return what enters the layer ``head`` of a network.

    Parameters
    ----------
    network : nn.Module
        With a layer ``head``.
    image : Tensor
        float32 (N, C, *spatial).

    Returns
    -------
    Tensor
        float32 (N, D, *spatial).
    """
    kept: list[Tensor] = []
    head = network.get_submodule("head")
    hook = head.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        network(image)
    finally:
        hook.remove()
    return kept[0]


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


def solve_ridge(
    features: Tensor, classes: Tensor, ridge: float = RIDGE, scale: float = SCALE
) -> tuple[Tensor, Tensor]:
    """Solve a linear classifier in closed form, each class counting the same.

    Ridge regression onto the classes' indicators (Hoerl & Kennard 1970); it can be
    differentiated with respect to the features.

    Parameters
    ----------
    features : Tensor
        float32 (P, D), of P painted pixels.
    classes : Tensor
        int64 (P,), indices from 0, each of them there.
    ridge : float
        Weight of the penalty relative to the mean square of the features.
    scale : float
        What the regression's output is multiplied by to make logits.

    Returns
    -------
    weight : Tensor
        float32 (K, D).
    bias : Tensor
        float32 (K,).
    """
    x = features.double()
    indicators = torch.nn.functional.one_hot(classes).double()
    counts = indicators.sum(0).clamp(min=1)
    share = (indicators / counts).sum(1, keepdim=True) / len(counts)
    mean = (share * x).sum(0)
    level = (share * indicators).sum(0)
    centred = x - mean
    gram = centred.T @ (share * centred)
    penalty = ridge * gram.diagonal().mean() + 1e-8
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    slope = torch.linalg.solve(
        gram + penalty * eye, centred.T @ (share * (indicators - level))
    )
    weight = scale * slope.T
    bias = scale * level - weight @ mean
    return weight.float(), bias.float()
