"""What the last layers of many tasks have in common: the prior of the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fcn.engine.solved_head import (
    balanced_shares,
    body_features,
    moments,
    solve_logistic,
)
from pretraining.episodes import to_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pretraining.episodes import Episode

_PIXELS = 6000
_PENALTY = 0.01
_SHRINKAGE = 0.5


def head_covariance(
    network: nn.Module, episodes: Sequence[Episode], seed: int
) -> Tensor:
    """Return the covariance of the last layer's weights over tasks.

    The last layer of each task is fitted to pixels of both its images, all of whose
    classes are known, and each task counts the same whatever the size of its weights.
    What was estimated from few tasks is drawn half-way to the identity (Ledoit & Wolf
    2004, "A well-conditioned estimator for large-dimensional covariance matrices", with
    a fixed share): features that are used often, and together, are believed sooner.

    Parameters
    ----------
    network : nn.Module
        With a layer ``head``, which is not used; in evaluation mode.
    episodes : sequence of Episode
        Best others than the network has learned from.
    seed : int
        Of the choice of pixels.

    Returns
    -------
    Tensor
        float32 (D, D), of weights for standardised features; its mean diagonal is 1.
    """
    random = torch.Generator().manual_seed(seed)
    products = [
        weight.T @ weight / weight.square().mean()
        for weight in (_fitted(network, episode, random) for episode in episodes)
    ]
    covariance = torch.stack(products).mean(0)
    covariance /= covariance.diagonal().mean()
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    return torch.lerp(covariance, identity, _SHRINKAGE).float()


@torch.no_grad()
def _fitted(network: nn.Module, episode: Episode, random: torch.Generator) -> Tensor:
    """Return weights for standardised features, float64 (K, D), less their mean.

    What is added to the weights of all classes changes nothing.
    """
    features = body_features(network, to_tensor(episode.images))
    features = features.movedim(1, -1).flatten(0, 2)
    classes = torch.from_numpy(episode.truth).long().flatten()
    chosen = torch.randperm(len(classes), generator=random)[:_PIXELS]
    features, classes = features[chosen], classes[chosen].unique(return_inverse=True)[1]
    weight, _ = solve_logistic(features, classes, _PENALTY)
    _, deviation = moments(features.double(), balanced_shares(classes))
    weight = weight * deviation
    return weight - weight.mean(0)
