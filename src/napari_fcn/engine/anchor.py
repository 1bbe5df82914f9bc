"""Holding a network to what it knew at first, the more the less is annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fcn.engine.masked import IGNORE

if TYPE_CHECKING:
    from torch import Tensor, nn

TRUST = 2000
"""How many annotated pixels weigh as much as what the network knew at first."""


class Anchor:
    """What was known at first, which counts where nothing is annotated.

    A few strokes say nothing about most of an image, and a network that fits only
    them forgets what it knew about the rest. So the loss has a second term, the
    cross-entropy with the predictions of the first network on pixels that are not
    annotated (Li & Hoiem 2016, "Learning without forgetting"), with a weight that
    falls as annotation grows.

    Parameters
    ----------
    network : nn.Module
        What is known; it is not changed here.

    Attributes
    ----------
    network : nn.Module
        The same network, in evaluation mode.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)

    def loss(
        self, image: Tensor, output: Tensor, target: Tensor, annotated: int
    ) -> Tensor:
        """Return the weighted term, a scalar.

        Parameters
        ----------
        image : Tensor
            float32 (N, C, *spatial).
        output : Tensor
            Logits (N, K, *spatial) of the network that learns.
        target : Tensor
            int64 (N, *spatial), `IGNORE` where not annotated.
        annotated : int
            Annotated pixels in all.
        """
        with torch.no_grad():
            wanted = self.network(image).softmax(1)
        free = target == IGNORE
        apart = -(wanted * output.log_softmax(1)).sum(1)
        mean = (apart * free).sum() / free.sum().clamp(min=1)
        return TRUST / max(1, annotated) * mean
