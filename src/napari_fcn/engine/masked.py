"""What all losses share: the annotated pixels, and means over classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -1
"""The target's value where nothing is annotated."""

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps logits (N, K, *spatial) and target (N, *spatial) to a scalar tensor."""


def check_same_shape(what: str, given: Tensor, target: Tensor) -> None:
    """Raise `ValueError` if two shapes differ."""
    if given.shape != target.shape:
        raise ValueError(
            f"{what} {tuple(given.shape)} and target {tuple(target.shape)} differ"
        )


def annotated(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (K, P) in at least float32 and classes (P,) of the annotated pixels."""
    check_same_shape("logits without classes", logits[:, 0], target)
    flat = target.flatten()
    chosen = (flat != IGNORE).nonzero().squeeze(1)
    scores = logits.movedim(1, 0).flatten(1).index_select(1, chosen)
    return at_least_float32(scores), flat[chosen]


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float32, or in the floating type they have if it is finer."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def surprise(scores: Tensor, truth: Tensor) -> Tensor:
    """-log p(true class) of each pixel, (P,)."""
    return F.cross_entropy(scores[None], truth[None], reduction="none")[0]


def probabilities(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax (K, P) and the one-hot truth, bool (K, P)."""
    classes = torch.arange(len(scores), device=truth.device)
    return scores.softmax(0), classes[:, None] == truth


def masked_images(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax (N, K, *spatial) and one-hot truth of the same type, 0 where ignored.

    For losses that need to know where pixels are. What is not annotated is as empty in
    the prediction as in the truth, and gets no gradient.
    """
    check_same_shape("logits without classes", logits[:, 0], target)
    seen = (target != IGNORE).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=target.device)
    classes = classes.view(-1, *[1] * (target.ndim - 1))
    p = at_least_float32(torch.where(seen, logits, 0)).softmax(1)
    return torch.where(seen, p, 0), (classes == target.unsqueeze(1)).to(p)


def mean_over_present(losses: Tensor, sizes: Tensor) -> Tensor:
    """Mean of (K,) over the classes with annotated pixels; 0 if there are none."""
    present = (sizes > 0).to(losses)
    return (losses * present).sum() / present.sum().clamp(min=1)


def not_zero(total: Tensor) -> Tensor:
    """Return the total itself, or 1 where it is 0."""
    return torch.where(total > 0, total, torch.ones_like(total))
