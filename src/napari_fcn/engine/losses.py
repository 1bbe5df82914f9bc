"""Losses that only see annotated pixels.

A target is an int64 tensor (N, *spatial) with class indices 0..K-1 and `IGNORE`
where nothing is annotated; logits are (N, K, *spatial), 2D or 3D. Every loss first
gathers the annotated pixels, so the rest can influence neither value nor gradient,
and sparse strokes cost little. A batch without any of them has loss 0 and gradient 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

IGNORE = -1
"""The target's value where nothing is annotated."""

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps logits (N, K, *spatial) and target (N, *spatial) to a scalar tensor."""


def class_balance_weights(target: Tensor, n_classes: int) -> Tensor:
    """Weights that let each class count by the square root of its share of pixels.

    With n_c annotated pixels of class c among n, a pixel of class c weighs in
    proportion to sqrt(n_c / n) / n_c. This lies half way between counting pixels
    (a small class is drowned) and counting classes (a single stray pixel weighs as
    much as the whole background); the exponent 1/2 is that of the subsampling of
    frequent words in Mikolov et al. 2013, eq. 5.

    Parameters
    ----------
    target : Tensor
        int64, any shape; `IGNORE` where not annotated.
    n_classes : int
        Number of classes K.

    Returns
    -------
    Tensor
        float32 (K,), scaled to mean 1 over the annotated pixels; 0 for classes that
        are absent.
    """
    counts = torch.bincount(target[target != IGNORE], minlength=n_classes).float()
    roots = counts.sqrt()
    scale = counts.sum() / roots.sum().clamp(min=1)
    return scale * roots / counts.clamp(min=1)


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """Weighted mean over annotated pixels of -log p(true class).

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    class_weights : Tensor, optional
        (K,), not negative; `class_balance_weights` of this target by default.
    pixel_weights : Tensor, optional
        (N, *spatial), not negative, as the weight map of the U-Net
        (Ronneberger et al. 2015, eq. 1); multiplies the class weights.

    Returns
    -------
    Tensor
        Scalar; 0 where the weights sum to 0.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    scores, truth = _annotated(logits, target)
    if class_weights is None:
        class_weights = class_balance_weights(truth, logits.shape[1])
    weights = class_weights.to(scores)[truth]
    if pixel_weights is not None:
        _check_same_shape("pixel weights", pixel_weights, target)
        weights = weights * pixel_weights[target != IGNORE].to(scores)
    losses = _surprise(scores, truth)
    return (weights * losses).sum() / _not_zero(weights.sum())


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean over annotated pixels of -(1 - p)^gamma log p, p that of the true class.

    Lin et al. 2017, "Focal loss for dense object detection", eq. 4.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    gamma : float
        Focusing exponent; 0 gives the plain cross-entropy.

    Returns
    -------
    Tensor
        Scalar.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    scores, truth = _annotated(logits, target)
    losses = _surprise(scores, truth)
    # 1 - p without cancellation; the floor keeps the slope finite for gamma < 1
    missing = (-torch.expm1(-losses)).clamp(min=1e-12)
    return (missing**gamma * losses).sum() / max(len(truth), 1)


def soft_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient, averaged over the classes present.

    Per class, pooled over the batch: (2 Σpy + s) / (Σp + Σy + s), after Milletari et
    al. 2016 ("V-Net", section 3), whose denominator has squares instead of plain sums.

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    smooth : float
        The term s in pixels.

    Returns
    -------
    Tensor
        Scalar between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    p, y = _probabilities(*_annotated(logits, target))
    overlap, sizes = (p * y).sum(1), y.sum(1)
    dice = (2 * overlap + smooth) / (p.sum(1) + sizes + smooth)
    return _mean_over_present(1 - dice, sizes)


def power_jaccard(
    logits: Tensor, target: Tensor, power: float = 2.0, smooth: float = 1.0
) -> Tensor:
    """One minus the soft Jaccard index in power form, averaged over classes present.

    Per class, pooled over the batch: (Σpy + s) / (Σp^a + Σy^a - Σpy + s), after
    Duque-Arias et al. 2021, "On power Jaccard losses for semantic segmentation".

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    power : float
        The exponent a, between 1 (the plain soft Jaccard) and 2.
    smooth : float
        The term s in pixels.

    Returns
    -------
    Tensor
        Scalar between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    p, y = _probabilities(*_annotated(logits, target))
    overlap, sizes = (p * y).sum(1), y.sum(1)
    # y is 0 or 1, so y^a is y
    union = (p**power).sum(1) + sizes - overlap
    return _mean_over_present(1 - (overlap + smooth) / (union + smooth), sizes)


def soft_jaccard(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Jaccard index: `power_jaccard` with exponent 1.

    Rahman & Wang 2016, "Optimizing intersection-over-union in deep neural networks
    for image segmentation".

    Parameters
    ----------
    logits : Tensor
        (N, K, *spatial), floating point.
    target : Tensor
        int64 (N, *spatial).
    smooth : float
        Added to numerator and denominator, in pixels.

    Returns
    -------
    Tensor
        Scalar between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not match.
    """
    return power_jaccard(logits, target, power=1.0, smooth=smooth)


LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "dice": soft_dice,
    "focal": focal,
    "jaccard": soft_jaccard,
    "power-jaccard": power_jaccard,
}
"""The losses by name; `build_loss` also takes sums of them such as ``ce+jaccard``."""


@dataclass(frozen=True)
class SumOfLosses:
    """The sum of several losses, itself a loss."""

    terms: tuple[Loss, ...]

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Add up the terms.

        Parameters
        ----------
        logits : Tensor
            (N, K, *spatial), floating point.
        target : Tensor
            int64 (N, *spatial).

        Returns
        -------
        Tensor
            Scalar.
        """
        return torch.stack([term(logits, target) for term in self.terms]).sum()


def build_loss(name: str) -> Loss:
    """Find a loss, or a sum of losses, by name.

    Parameters
    ----------
    name : str
        A key of `LOSSES` or several joined by ``+``.

    Returns
    -------
    Loss
        Callable (logits, target) -> scalar tensor.

    Raises
    ------
    UserError
        If a name is unknown; the message lists the known ones.
    """
    names = [part.strip() for part in name.split("+")]
    _check_known(names)
    terms = tuple(LOSSES[part] for part in names)
    return terms[0] if len(terms) == 1 else SumOfLosses(terms)


def _check_known(names: Sequence[str]) -> None:
    for name in names:
        if name not in LOSSES:
            known = ", ".join(sorted(LOSSES))
            raise UserError(
                f"There is no loss called '{name}': choose among {known}, or a sum "
                "of them such as ce+jaccard."
            )


def _check_same_shape(what: str, given: Tensor, target: Tensor) -> None:
    if given.shape != target.shape:
        raise ValueError(
            f"{what} {tuple(given.shape)} and target {tuple(target.shape)} differ"
        )


def _annotated(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (K, P) in at least float32 and classes (P,) of the annotated pixels."""
    _check_same_shape("logits without classes", logits[:, 0], target)
    flat = target.flatten()
    chosen = (flat != IGNORE).nonzero().squeeze(1)
    scores = logits.movedim(1, 0).flatten(1).index_select(1, chosen)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores, flat[chosen]


def _surprise(scores: Tensor, truth: Tensor) -> Tensor:
    """-log p(true class) of each pixel, (P,)."""
    return F.cross_entropy(scores[None], truth[None], reduction="none")[0]


def _probabilities(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax (K, P) and the one-hot truth, bool (K, P)."""
    classes = torch.arange(len(scores), device=truth.device)
    return scores.softmax(0), classes[:, None] == truth


def _mean_over_present(losses: Tensor, sizes: Tensor) -> Tensor:
    """Mean of (K,) over the classes with annotated pixels; 0 if there are none."""
    present = (sizes > 0).to(losses)
    return (losses * present).sum() / present.sum().clamp(min=1)


def _not_zero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, torch.ones_like(total))
