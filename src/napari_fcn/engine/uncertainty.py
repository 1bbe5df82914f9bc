"""Where a network is unsure, and where a stroke would teach it most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mirrored(nn.Module):
    """A network that sees the image as in a mirror, and answers as without one.

    Parameters
    ----------
    network : nn.Module
        The network; mirrored along its last axis.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = network.config
        self.train(network.training)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, C, ...) to outputs of the same size."""
        output: torch.Tensor = self.network(image.flip(-1)).flip(-1)
        return output


def uncertainty(*opinions: torch.Tensor) -> NDArray[np.float32]:
    """Return how unsure networks are of each pixel, and how far they disagree.

    The entropy of their mean class probabilities (Shannon 1948), divided by its
    greatest value. It is the mean of the entropies of each, as used for choosing what
    to annotate next (Settles 2009, section 3.1), plus their Jensen-Shannon divergence,
    the disagreement of a committee (McCallum & Nigam 1998). Two networks that are sure
    of different classes are as unsure as one that finds both as likely.

    Parameters
    ----------
    *opinions : (C, ...) tensors
        Logits as the networks give them, for two or more classes.

    Returns
    -------
    (...) float32
        0 where they are sure of the same, 1 where all classes are as likely; 0 where
        there are none.
    """
    if len(opinions[0]) < 2:  # densities and images have no probabilities
        return np.zeros(opinions[0].shape[1:], np.float32)
    mean = torch.stack([logits.float().softmax(0) for logits in opinions]).mean(0)
    entropy = torch.special.entr(mean).sum(0) / math.log(len(mean))
    found: NDArray[np.float32] = entropy.clamp(0, 1).cpu().numpy()
    return found


def most_useful(
    doubt: NDArray[np.float32], painted: NDArray[np.bool_], reach: int
) -> tuple[float, tuple[int, ...]]:
    """Return the place around which a network is most unsure and nothing is painted.

    Single unsure pixels lie on every border and teach little; so the mean over an area
    counts, and what lies near strokes counts not at all.

    Parameters
    ----------
    doubt : (...) float32
        From `uncertainty`.
    painted : (...) bool
        Where annotation is.
    reach : int
        Edge of the area, and how far from strokes is near, in pixels.

    Returns
    -------
    float
        Mean uncertainty around the place; 0 if all is painted.
    tuple of int
        The place.
    """
    free = doubt.copy()
    if painted.any():
        free[ndimage.distance_transform_edt(~painted) <= reach / 2] = 0
    mean = ndimage.uniform_filter(free, reach, mode="constant")
    mean[free == 0] = 0  # the place itself must not be painted
    place = np.unravel_index(int(mean.argmax()), mean.shape)
    return float(mean[place]), tuple(int(p) for p in place)
