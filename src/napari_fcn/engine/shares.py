"""Holding what share of an image each class takes where nothing is annotated."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import torch

from napari_fcn.engine.masked import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from napari_fcn.networks.unet import UNet

_EVERY = 4
"""Steps from one look at shares to the next; each counts for all of them."""
_WEIGHT = 8.0
_MANY = 8000
"""Annotated pixels from which on shares are held the less, the more there are."""


class HeldShares:
    """Holds the shares of classes to what they were when one painted last.

    Strokes tell what is alike, not how much of it there is. A network that learns from
    a few of them and from its own average drifts, the average with it, until one class
    takes too much. So its mean probability of each class, over the pixels of a batch
    that are not annotated, is held to what it made of them when one painted last: the
    divergence between the two is added to the loss (Mann & McCallum 2007, "Simple,
    robust, scalable semi-supervised learning via expectation regularization", where
    the shares are known). Which pixels these are is left to learning.

    Held-out strokes, and what lies outside of an image, count as not annotated here.
    """

    def __init__(self) -> None:
        self._before: UNet | None = None

    @property
    def known(self) -> bool:
        """Whether there is something to hold them to."""
        return self._before is not None

    def forget(self) -> None:
        """Hold from now on what the network makes of images next time."""
        self._before = None

    def loss(
        self,
        average: nn.Module,
        seen: tuple[Tensor, Tensor, Tensor],
        step: int,
        painted: Sequence[int],
        precision: AbstractContextManager[Any],
    ) -> Tensor | None:
        """Return how far shares are from what they were, or None at most steps.

        Parameters
        ----------
        average : nn.Module
            What is held, if nothing is yet; a copy of it is kept.
        seen : tuple of Tensor
            Images (N, C, *spatial), the learning network's logits (N, K, *spatial), and
            targets, int64 (N, *spatial), `IGNORE` where not learned from.
        step : int
            Of the run.
        painted : sequence of int
            Annotated pixels of each class. Of those without any, shares are not held.
        precision : context manager
            For the images to be looked at in.

        Returns
        -------
        Tensor or None
            The weighted term, a scalar; None, too, where nothing is to be held.
        """
        image, output, target = seen
        free = target == IGNORE
        there = [number for number, pixels in enumerate(painted) if pixels]
        if step % _EVERY or len(there) < 2 or not free.any():
            return None
        if self._before is None:
            self._before = _without_photographs(cast("UNet", average))
        with torch.no_grad(), precision:
            before = self._before.learned(image)
        held, now = (_log_shares(logits, free, there) for logits in (before, output))
        weight = _EVERY * _WEIGHT * min(1.0, _MANY / sum(painted))
        return weight * (held.exp() * (held - now)).sum()


def _log_shares(logits: Tensor, free: Tensor, there: Sequence[int]) -> Tensor:
    """Return the logarithms of shares of some classes among them, (len(there),).

    The share of a class is its mean probability where `free`. As a logarithm it has a
    slope even if it is nearly nothing.
    """
    probable = logits.float().log_softmax(1).movedim(1, 0)[:, free]
    return probable[list(there)].logsumexp(1).log_softmax(0)


def _without_photographs(network: UNet) -> UNet:
    """Return a copy of what a U-Net has learned itself; that alone is held."""
    kept = copy.deepcopy(network)
    kept.photographs = None
    return kept
