"""Losses that only see annotated pixels, by name.

A target is an int64 tensor (N, *spatial) with class indices 0..K-1 and `IGNORE`
where nothing is annotated; logits are (N, K, *spatial), 2D or 3D. Every loss first
gathers or masks the annotated pixels, so the rest can influence neither value nor
gradient. A batch without any of them has loss 0 and gradient 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from napari_fcn.engine.border_loss import border_cross_entropy
from napari_fcn.engine.masked import IGNORE, Loss
from napari_fcn.engine.overlap_losses import power_jaccard, soft_dice, soft_jaccard
from napari_fcn.engine.pixel_losses import class_balance_weights, cross_entropy, focal
from napari_fcn.engine.shape_losses import boundary, soft_cldice
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = [
    "IGNORE",
    "LOSSES",
    "Loss",
    "SumOfLosses",
    "border_cross_entropy",
    "boundary",
    "build_loss",
    "class_balance_weights",
    "cross_entropy",
    "focal",
    "power_jaccard",
    "soft_cldice",
    "soft_dice",
    "soft_jaccard",
]

LOSSES: dict[str, Loss] = {
    "boundary": boundary,
    "ce": cross_entropy,
    "ce-border": border_cross_entropy,
    "cldice": soft_cldice,
    "dice": soft_dice,
    "focal": focal,
    "jaccard": soft_jaccard,
    "power-jaccard": power_jaccard,
}
"""The losses by name; `build_loss` also takes sums of them such as ``ce+jaccard``."""

_SETTINGS: dict[str, tuple[Callable[[float], Loss], float, float]] = {
    "ce-border": (lambda w0: partial(border_cross_entropy, w0=w0), 0, 1000),
    "cldice": (lambda n: partial(soft_cldice, iterations=round(n)), 1, 100),
    "focal": (lambda gamma: partial(focal, gamma=gamma), 0, 10),
    "power-jaccard": (lambda power: partial(power_jaccard, power=power), 1, 2),
}
"""What the number after a colon sets, and its range: ``power-jaccard:1.5``."""


@dataclass(frozen=True)
class SumOfLosses:
    """The weighted sum of several losses, itself a loss.

    Attributes
    ----------
    terms : tuple of callable
        The losses.
    weights : tuple of float
        One per term.
    """

    terms: tuple[Loss, ...]
    weights: tuple[float, ...]

    def __call__(self, logits: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
        """Add up the terms.

        Parameters
        ----------
        logits : Tensor or tuple of Tensor
            (N, K, *spatial), floating point. Of several, as a network with deep
            supervision returns them while training, each counts half as much as the
            one before, and the weights add up to 1.
        target : Tensor
            int64 (N, *spatial).

        Returns
        -------
        Tensor
            Scalar.
        """
        if isinstance(logits, tuple):
            shares = [2.0 ** -(level + 1) for level in range(len(logits))]
            shares[-1] *= 2
            losses = [s * self(x, target) for s, x in zip(shares, logits, strict=True)]
            return torch.stack(losses).sum()
        losses = [
            weight * term(logits, target)
            for weight, term in zip(self.weights, self.terms, strict=True)
        ]
        return torch.stack(losses).sum()


def build_loss(name: str) -> SumOfLosses:
    """Find a loss, or a sum of losses, by name.

    Parameters
    ----------
    name : str
        Terms joined by ``+``. Each is a key of `LOSSES`, with a weight before it
        if wanted, and a number for its setting after it: ``ce+0.01*boundary``,
        ``power-jaccard:1.5``, ``focal:3`` (γ), ``cldice:5`` (rounds of thinning),
        ``ce-border:10`` (w_0).

    Returns
    -------
    SumOfLosses
        Callable (logits, target) -> scalar tensor.

    Raises
    ------
    UserError
        If a name is unknown or a number cannot be read; the message says what can be
        chosen.
    """
    terms, weights = zip(*(_term(part) for part in name.split("+")), strict=True)
    return SumOfLosses(terms, weights)


def _term(text: str) -> tuple[Loss, float]:
    """Read ``weight*name:setting``, of which only the name must be there."""
    weight, _, rest = text.rpartition("*")
    name, colon, setting = rest.partition(":")
    name = name.strip()
    if name not in LOSSES or (colon and name not in _SETTINGS):
        known = ", ".join(sorted(LOSSES))
        raise UserError(
            f"There is no loss called '{rest.strip()}': choose among {known}, or a sum "
            "of them such as ce+jaccard."
        )
    loss = LOSSES[name]
    if colon:
        choose, low, high = _SETTINGS[name]
        loss = choose(_number(setting, low, high))
    return loss, _number(weight, 0, 1e6) if weight else 1.0


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UserError(
            f"'{text.strip()}' cannot be used in a loss: write a number between "
            f"{low:g} and {high:g}, as in 0.5*ce+power-jaccard:1.5."
        )
    return value
