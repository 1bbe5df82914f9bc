"""Fixed filters, as random forests on pixels use them, and random mixtures of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from napari_fcn.networks.blocks import for_channels
from napari_fcn.networks.each_channel import EachChannel
from napari_fcn.networks.line_filters import LineFilters
from napari_fcn.networks.resizing import doubling, halving

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCALES = ((0, 0.7), (0, 1.0), (0, 1.6), (1, 1.6), (1, 2.4), (2, 2.4))
"""How often the image was halved, and standard deviation in pixels of that size."""
_LINES = ((1, 0.8, 3.0), (1, 1.2, 6.0), (2, 0.8, 4.0), (2, 1.5, 5.0))
"""How often the image was halved, and deviations across and along a line."""
_ORDERS = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
"""Derivatives along Y and X."""
_MEAN = (0.4, 0.0, 0.0, 0.0)
_DEVIATION = (0.25, 0.04, 0.035, 0.035)
"""Of brightness, slope, larger and smaller curvature, about, over images of cells."""
_LINE_MEAN = (0.4, 0.4, 0.0, 0.0)
_LINE_DEVIATION = (0.25, 0.25, 0.025, 0.025)
"""Of the largest and smallest mean and curvature that `LineFilters` find."""
_REACH = 3.5
"""Deviations at which a filter ends."""
_MOST_CHANNELS = 8
"""That filters see each by itself; of each, 40 maps are made at half the size."""
_TINY = 1e-12
"""Added under roots, whose slope is infinite at 0."""
_SEED = 0


class FilterFeatures(nn.Module):
    """Random mixtures of fixed filters, at half the size of the image.

    Of each channel, at six widths from 0.7 to 9.6 pixels: brightness, slope, and the
    two principal curvatures; and what `LineFilters` of four sizes see, whose deviations
    are 1.6 to 6 pixels across a line and 6 to 20 along it. A linear classifier of many
    rectified random mixtures of them is about as flexible as a forest (Rahimi & Recht
    2009, "Weighted sums of random kitchen sinks"), and part of a network like any
    other. Training never changes them.

    Parameters
    ----------
    channels : int
        Of the image; what comes after them, such as coordinates, is not looked at. Of
        more than eight, means are seen: of the first and the ninth, and so on.

    Attributes
    ----------
    size : (int, int)
        How often the feature maps were halved, and how many there are.
    """

    size = (1, 512)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels
        seen = min(channels, _MOST_CHANNELS)
        self.turns = _turns(channels, seen) if seen < channels else nn.Identity()
        self.halve = halving(2)
        self.to_half = nn.ModuleList([halving(2), nn.Identity(), doubling(2)])
        self.filters = nn.ModuleList(_Curvatures(s) for _, s in _SCALES)
        self.lines = nn.ModuleList(LineFilters(*size) for _, *size in _LINES)
        self.mixtures = _mixtures(seen, self.size[1])
        self.rectify = nn.ReLU(inplace=True)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (N, C, Y, X), about 0 to 1, to (N, 512, Y / 2, X / 2)."""
        return self.mix(self.respond(image))

    def respond(self, image: Tensor) -> Tensor:
        """Return what each filter finds, (N, F, Y / 2, X / 2), before it is mixed."""
        image = self.turns(image[:, : self._channels])
        half = self.halve(image)
        sizes = (image, half, self.halve(half))
        levels = [level for level, *_ in (*_SCALES, *_LINES)]
        found = [
            self.to_half[level](filters(sizes[level]))
            for level, filters in zip(levels, (*self.filters, *self.lines), strict=True)
        ]
        return torch.cat(found, 1)

    def mix(self, found: Tensor) -> Tensor:
        """Map what filters found (N, F, ., .) to rectified mixtures of it."""
        mixed: Tensor = self.rectify(self.mixtures(found))
        return mixed


def _mixtures(channels: int, number: int) -> nn.Conv2d:
    """Return random mixtures, the same ones each time, for filters of deviation 1."""
    mean = _of_all(channels, _MEAN, _LINE_MEAN)
    deviation = _of_all(channels, _DEVIATION, _LINE_DEVIATION)
    seen = len(mean)
    random = torch.Generator().manual_seed(_SEED)
    # in numpy: on the meta device PyTorch would load its compiler for these few lines
    weight, bias = (
        torch.randn(size, generator=random, device="cpu").numpy()
        for size in ((number, seen), (number,))
    )
    weight = weight / (seen**0.5 * deviation)
    layer = nn.Conv2d(seen, number, 1)
    values = {"weight": weight[..., None, None], "bias": bias - weight @ mean}
    layer.load_state_dict({k: torch.as_tensor(v) for k, v in values.items()})
    return layer


def _of_all(
    channels: int, of_filters: tuple[float, ...], of_lines: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return a number for each filter, of each channel, at each size."""
    sizes = of_filters * len(_SCALES) + of_lines * len(_LINES)
    return np.repeat(np.array(sizes, np.float32), channels)


def _turns(channels: int, fewer: int) -> nn.Conv2d:
    """Return a layer of means over every `fewer`-th channel, from each on."""
    layer = nn.Conv2d(channels, fewer, 1, bias=False)
    as_they_are = torch.eye(fewer, device="cpu")[..., None, None]
    weight = for_channels(as_they_are, channels).numpy()
    layer.load_state_dict({"weight": torch.as_tensor(weight)})
    return layer


class _Curvatures(nn.Module):
    """Brightness, slope and principal curvatures of each channel, smoothed.

    Lindeberg 1998, "Feature detection with automatic scale selection": derivatives are
    multiplied by the standard deviation as often as one derives.

    Parameters
    ----------
    deviation : float
        Of the Gaussian, in pixels.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.derive = EachChannel(_gaussian_derivatives(deviation))

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, C, Y, X) to (N, 4 C, Y, X)."""
        found = self.derive(image)
        smooth, x, y, xx, xy, yy = (
            found[:, order :: len(_ORDERS)] for order in range(len(_ORDERS))
        )
        slope = torch.sqrt(x * x + y * y + _TINY)
        mean, half = (xx + yy) / 2, (xx - yy) / 2
        apart = torch.sqrt(half * half + xy * xy + _TINY)
        return torch.cat([smooth, slope, mean + apart, mean - apart], 1)


def _gaussian_derivatives(deviation: float) -> NDArray[np.float32]:
    """Return float32 (6, K, K): a Gaussian and its derivatives, as `_ORDERS` says.

    They are exact where they matter: a ramp has the slope 1, a parabola the curvature
    that it has, and a constant neither.
    """
    reach = max(1, round(_REACH * deviation))
    place = np.arange(-reach, reach + 1)
    bell = np.exp(-((place / deviation) ** 2) / 2)
    bell = bell / bell.sum()
    slope = place * bell
    slope = slope / (slope @ place)
    curvature = (place**2 - bell @ place**2) * bell
    curvature = 2 * curvature / (curvature @ place**2)
    along = [bell, deviation * slope, deviation**2 * curvature]
    kernels = np.stack([np.outer(along[y], along[x]) for y, x in _ORDERS])
    return kernels.astype(np.float32)
