"""What the output of a density or regression model means, in numbers."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from napari_fcn.config.base import Frozen

_UPPER = 0.975
_FEWEST_REGIONS = 2
"""With one, the quantile would say nothing any more."""


class CountError(Frozen):
    """How far counts are from the truth: their variance, from regions held out.

    The variance of a count n is ``scatter * max(n, 1) + (bias * n)**2``: objects that
    are missed or seen twice one by one, as in a Poisson process, and an image whose
    objects are all taken for more or fewer than they are.

    Attributes
    ----------
    scatter : float
        Variance per object; 1 is that of a Poisson process.
    bias : float
        Standard deviation of the relative error that a whole image shares.
    regions : int
        How many held-out regions it was measured on; 0 if on trained ones.
    """

    scatter: float = Field(default=0.0, ge=0)
    bias: float = Field(default=0.0, ge=0)
    regions: int = Field(default=0, ge=0)

    def deviation(self, count: float) -> float:
        """Return the standard deviation of a count."""
        variance = self.scatter * max(count, 1.0) + (self.bias * count) ** 2
        return float(variance**0.5)

    def reach(self, count: float) -> float:
        """Return how far from a count 95 of 100 true counts lie at the most.

        The variance is only known from some regions, the fewer the worse: so the
        quantile is that of Student's t with as many degrees of freedom (Student
        1908), and the normal one where nothing was held out.
        """
        from scipy.special import stdtrit  # slow to load, seldom needed

        freedom = max(self.regions, _FEWEST_REGIONS) if self.regions else math.inf
        return float(stdtrit(freedom, _UPPER)) * self.deviation(count)


class DensityConfig(Frozen):
    """The scale of a density model's output.

    Attributes
    ----------
    widths : tuple of tuple of float
        Standard deviation in pixels of the Gaussian that stands for an object, per
        class and axis in the order (Z,) Y, X.
    gains : tuple of float
        What densities are multiplied by, per class, so that counts of what was learned
        are right on average; 1 by default.
    error : CountError
        How far counts are from the truth.
    """

    widths: tuple[tuple[float, ...], ...] = ()
    gains: tuple[float, ...] = ()
    error: CountError = CountError()

    @model_validator(mode="after")
    def _widths_are_positive(self) -> DensityConfig:
        if any(not 0 < w < 1e4 for widths in self.widths for w in widths):
            raise ValueError("the widths of objects must be above 0")
        if self.gains and len(self.gains) != len(self.widths):
            raise ValueError("there must be a gain for each class")
        if any(not 0 < g < 1e3 for g in self.gains):
            raise ValueError("gains must be above 0")
        return self

    @property
    def units(self) -> tuple[float, ...]:
        """Objects per pixel that an output of 1 stands for, per class."""
        gains = self.gains or (1.0,) * len(self.widths)
        return tuple(p * g for p, g in zip(self.peaks, gains, strict=True))

    @property
    def peaks(self) -> tuple[float, ...]:
        """The height of a Gaussian of sum 1 per class: the output's unit, 1/pixel."""
        result = []
        for widths in self.widths:
            peak = 1.0
            for width in widths:
                peak /= width * 6.283185307179586**0.5
            result.append(peak)
        return tuple(result)


class OutputInfo(Frozen):
    """One channel of a regression model's output.

    Attributes
    ----------
    name : str
        What it shows.
    offset, scale : float
        ``offset + scale * output`` is in the target's units.
    """

    name: str
    offset: float = 0.0
    scale: float = Field(default=1.0, gt=0)


class RegressionConfig(Frozen):
    """The channels of a regression model's output.

    Attributes
    ----------
    outputs : tuple of OutputInfo
        One per channel of the target.
    spread : bool
        Whether the network tells how sure it is, too: as many channels again, with the
        logarithm of the variance (Nix & Weigend 1994).
    of_the_image : bool
        Whether the outputs are the channels of the image itself, as when noise is
        removed: then they come back in the units of each image.
    """

    outputs: tuple[OutputInfo, ...] = ()
    spread: bool = False
    of_the_image: bool = False

    @property
    def channels(self) -> int:
        """How many channels the network has for it."""
        return len(self.outputs) * (2 if self.spread else 1)
