"""How far a feature pixel reaches back into the image, along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from napari_fcn.errors import UserError


@dataclass(frozen=True)
class Reach:
    """Dependence of feature pixel i: inputs jump * i + low to jump * i + high.

    For operations that depend on the position of a pixel within a stride
    (up-sampling) low and high are the extremes over all positions.

    Attributes
    ----------
    jump : Fraction
        Input pixels between two neighbouring feature pixels.
    low, high : Fraction
        First and last input pixel that feature pixel 0 depends on.
    """

    jump: Fraction = Fraction(1)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> Reach:
        """Pass through a sliding window: convolution or pooling.

        Araujo et al. 2019, "Computing receptive fields of convolutional neural
        networks", eq. 2 to 4.
        """
        extent = dilation * (kernel - 1)
        return Reach(
            self.jump * stride,
            self.low - self.jump * padding,
            self.high + self.jump * (extent - padding),
        )

    def spread(self, kernel: int, stride: int, padding: int) -> Reach:
        """Pass through a transposed convolution.

        Output o depends on the inputs i with ``o = i * stride - padding + t`` for
        t in 0 .. kernel - 1, so i lies in ((o + padding - t) / stride).
        """
        jump = self.jump / stride
        return Reach(
            jump,
            self.low + jump * (padding - (kernel - 1)),
            self.high + jump * padding,
        )

    def shift(self, pixels: int) -> Reach:
        """Start counting feature pixels `pixels` later: cropping; padding if < 0."""
        return Reach(
            self.jump, self.low + self.jump * pixels, self.high + self.jump * pixels
        )

    def join(self, other: Reach) -> Reach:
        """Depend on both of two features.

        Raises
        ------
        UserError
            If they differ in resolution.
        """
        if self.jump != other.jump:
            raise UserError(
                "The network joins features of different resolution; its receptive "
                "field cannot be computed."
            )
        return Reach(self.jump, min(self.low, other.low), max(self.high, other.high))


Reaches: TypeAlias = tuple[Reach, ...]
"""One reach per spatial axis."""


def join_all(first: Reaches, *others: Reaches) -> Reaches:
    """Depend on all of several features, axis by axis."""
    for other in others:
        first = tuple(a.join(b) for a, b in zip(first, other, strict=True))
    return first
