"""A layer that sees each channel by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_fcn.networks.rules import carry_through_module

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_fcn.networks.reach import Reaches


class EachChannel(nn.Module):
    """Convolve each channel by the same given kernels.

    What lies beyond the image is as its border, so that there is no edge. Channels are
    seen as images of their own: a convolution in groups would do the same, slower.

    Parameters
    ----------
    kernels : ndarray
        float32 (F, K, K), K odd.
    """

    def __init__(self, kernels: NDArray[np.float32]) -> None:
        super().__init__()
        number, edge, _ = kernels.shape
        self.convolve = nn.Conv2d(
            1, number, edge, padding=edge // 2, padding_mode="replicate", bias=False
        )
        self.convolve.load_state_dict({"weight": torch.as_tensor(kernels[:, None])})

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C, Y, X) to (N, C F, Y, X), the F results of a channel together."""
        found: Tensor = self.convolve(image.flatten(0, 1)[:, None])
        return found.unflatten(0, image.shape[:2]).flatten(1, 2)

    def carry(self, reaches: Reaches) -> Reaches:
        """Look as far as the kernels do."""
        carried: Reaches = carry_through_module(self.convolve, reaches)
        return carried
