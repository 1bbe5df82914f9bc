"""Bring the intensities of an image to a common range, once for the whole image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.config import IntensityRange
from napari_fcn.data.pixel_values import values_of_image, values_of_sample
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import NormalisationConfig
    from napari_fcn.data.source import ImageSource

LIMIT = 10.0  # hot pixels must not dominate what the network sees
_MIN_VALUES = 10_000  # per channel, however many channels there are
_MANY_VALUES = 2_000_000
_LIKE = 4.0
"""Images taken alike differ by less than this factor in their range."""


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Shift and factor per channel.

    Attributes
    ----------
    offset, gain : ndarray of float32, shape (C,)
        ``(x - offset) * gain`` is what the network sees.
    """

    offset: NDArray[np.float32]
    gain: NDArray[np.float32]

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise a region; the same for a pixel whatever region it is in.

        Parameters
        ----------
        x : ndarray of float32, shape (C, ...)

        Returns
        -------
        ndarray of float32, shape (C, ...)
            Between -10 and 10; NaN and infinities become 0.
        """
        per_channel = (-1,) + (1,) * (x.ndim - 1)
        finite = np.isfinite(x)
        # float64 would not change a pixel's value but double the memory
        with np.errstate(over="ignore", invalid="ignore"):
            y = (x - self.offset.reshape(per_channel)) * self.gain.reshape(per_channel)
        np.clip(y, -LIMIT, LIMIT, out=y)
        y[~finite] = 0
        return y.astype(np.float32, copy=False)

    def of(self, sample: tuple[int, ...]) -> Normalisation:
        """Return what holds for one sample (section, time point) of the image.

        Raises
        ------
        UserError
            When it cannot be read.
        """
        return self


@dataclass(frozen=True, eq=False)
class _Aligned(Normalisation):
    """The range of the whole image, each sample shifted to have its median.

    Sections of a stack differ in staining and thickness, time points in illumination.

    Attributes
    ----------
    source : ImageSource
        The image; a sample is measured when it is needed first.
    median : ndarray of float32, shape (C,)
        Of the whole image.
    most : float
        Largest shift, in units of the range.
    """

    source: ImageSource
    median: NDArray[np.float32]
    most: float
    _known: dict[tuple[int, ...], Normalisation] = field(default_factory=dict)

    def of(self, sample: tuple[int, ...]) -> Normalisation:
        if sample not in self._known:
            self._known[sample] = self._measure(sample)
        return self._known[sample]

    def _measure(self, sample: tuple[int, ...]) -> Normalisation:
        values = values_of_sample(self.source, sample, _MIN_VALUES)
        limit = self.most / self.gain
        with np.errstate(over="ignore"):
            shift = np.nan_to_num(_median(values) - self.median)
            shift = np.clip(shift, -limit, limit)
            return Normalisation(np.nan_to_num(self.offset + shift), self.gain)


def measure(
    source: ImageSource,
    config: NormalisationConfig,
    *,
    max_values: int = _MANY_VALUES,
) -> Normalisation:
    """Measure the percentiles of a whole image from a bounded part of it.

    Planes are spread evenly over samples and depth; of planes too large to be read
    whole, a grid of blocks. The choice depends on the shape alone, so that an image
    gives the same answer wherever it is stored.

    Parameters
    ----------
    source : ImageSource
        The image, of any size.
    config : NormalisationConfig
        Which percentiles become 0 and 1; or the range of all images that are taken
        alike. An image of other numbers, or whose own range is more than four times
        as large, is not, and its own percentiles hold.
    max_values : int
        About how many values per channel are looked at; fewer with many channels.

    Returns
    -------
    Normalisation
        Gain 1 for a constant channel; offset 0 and gain 1 for one without any
        finite value beside others that have some. What it returns for a sample (`of`)
        is shifted if the samples are to be aligned.

    Raises
    ------
    UserError
        When the image cannot be read, or holds no finite value at all.
    """
    values = _values(source, max_values)
    own = normalisation_of(values, config)
    if config.common is None:
        if not config.aligned or math.prod(source.sample_shape) < 2:
            return own
        median = np.nan_to_num(_median(values))
        return _Aligned(own.offset, own.gain, source, median, config.aligned)
    low, high = (
        np.array(x, np.float32) for x in (config.common.low, config.common.high)
    )
    common = Normalisation(low, np.reciprocal(high - low))
    same_numbers = config.common.dtype == str(source.dtype)
    if not same_numbers or len(low) != len(own.offset) or _is_brighter(own, common):
        return own
    return common


def common_range(
    sources: Sequence[ImageSource], config: NormalisationConfig
) -> IntensityRange | None:
    """Measure the percentiles of several images together.

    Parameters
    ----------
    sources : sequence of ImageSource
        One or more, with the same number of channels.
    config : NormalisationConfig
        Which percentiles to measure.

    Returns
    -------
    IntensityRange or None
        None if the images are not taken alike: of different numbers, or one with more
        than four times the range of another; or if a channel is constant.

    Raises
    ------
    UserError
        When an image cannot be read, or holds no finite value at all.
    """
    dtypes = {str(source.dtype) for source in sources}
    values = [_values(source, _MANY_VALUES // len(sources)) for source in sources]
    gains = np.stack([normalisation_of(mine, config).gain for mine in values])
    alike = not (gains.min(axis=0) * _LIKE < gains.max(axis=0)).any()
    together = np.concatenate(values, axis=1)
    if len(dtypes) > 1 or not alike or not (np.ptp(together, axis=1) > 0).all():
        return None
    pooled = normalisation_of(together, config)
    high = pooled.offset + 1 / pooled.gain
    return IntensityRange(
        dtype=dtypes.pop(), low=tuple(pooled.offset.tolist()), high=tuple(high.tolist())
    )


def _is_brighter(one: Normalisation, other: Normalisation) -> bool:
    """Whether a channel spans far more than the same of another image."""
    return bool((one.gain * _LIKE < other.gain).any())


def _values(source: ImageSource, max_values: int) -> NDArray[np.float32]:
    """Read some values of all parts of an image, (C, n); one at least is finite."""
    budget = max(_MIN_VALUES, max_values // source.n_channels)
    values = values_of_image(source, budget)
    if not np.isfinite(values).any():
        raise UserError(
            f"The image {source.name} holds no numbers (NaN or infinite everywhere): "
            "choose another one."
        )
    return values


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of the finite values of each channel; NaN without any."""
    finite = [channel[np.isfinite(channel)].astype(np.float64) for channel in values]
    return np.array([np.median(f) if f.size else np.nan for f in finite], np.float32)


def normalisation_of(
    values: NDArray[np.float32], config: NormalisationConfig
) -> Normalisation:
    """Measure the percentiles of values that were read before.

    Parameters
    ----------
    values : ndarray of float32, shape (C, n)
        What is not finite does not count.
    config : NormalisationConfig
        Which percentiles become 0 and 1.

    Returns
    -------
    Normalisation
        Gain 1 for a constant channel, offset 0 and gain 1 for one without any finite
        value.
    """
    measured = [_offset_and_gain(channel, config) for channel in values]
    offset, gain = np.asarray(measured, dtype=np.float32).T
    return Normalisation(np.ascontiguousarray(offset), np.ascontiguousarray(gain))


def _offset_and_gain(
    values: NDArray[np.float32], config: NormalisationConfig
) -> tuple[float, float]:
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, [config.lower, config.upper])
    if high <= low:  # a dark image with a few bright spots
        low, high = finite.min(), finite.max()
    # Differences below float32's resolution are noise of the number format.
    resolution = np.finfo(np.float32).eps * max(abs(low), abs(high))
    if high - low <= max(resolution, np.finfo(np.float32).tiny):
        return float(low), 1.0
    return float(low), float(1 / (high - low))
