"""How well a predicted image agrees with its target: Pearson r, PSNR, SSIM."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Correlation:
    """Pearson's correlation coefficient of pairs that come in parts.

    Parameters
    ----------
    channels : int
        How many are kept apart.
    """

    def __init__(self, channels: int) -> None:
        self._sums = np.zeros((channels, 6))

    def add(self, truth: NDArray[Any], found: NDArray[Any]) -> None:
        """Note pairs of values, (channels, n) each."""
        x, y = truth.astype(np.float64), found.astype(np.float64)
        terms = (np.ones_like(x), x, y, x * x, y * y, x * y)
        self._sums += np.stack([t.sum(1) for t in terms], axis=1)

    def values(self) -> NDArray[np.float64]:
        """Return r per channel, (channels,); 0 where one side is constant."""
        n, x, y, xx, yy, xy = self._sums.T
        n = np.maximum(n, 1)
        covariance = xy / n - x * y / n**2
        spread = np.clip(xx / n - (x / n) ** 2, 0, None)
        spread = np.sqrt(spread * np.clip(yy / n - (y / n) ** 2, 0, None))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 1e-12, covariance / spread, 0.0)


@dataclass(frozen=True)
class ImageScores:
    """The agreement of one channel.

    Attributes
    ----------
    pearson : float
        Correlation coefficient, -1 to 1.
    psnr : float
        Ratio of the target's range to the root of the mean squared error, in dB.
    ssim : float
        Structural similarity (Wang et al. 2004), up to 1.
    """

    pearson: float
    psnr: float
    ssim: float

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def compare_images(
    truth: NDArray[Any], found: NDArray[Any], seen: NDArray[np.bool_] | None = None
) -> ImageScores:
    """Compare one channel of a predicted image with its target.

    Parameters
    ----------
    truth, found : ndarray
        Same shape, 2D or 3D.
    seen : ndarray of bool, optional
        Which pixels count; those with finite truth by default.

    Returns
    -------
    ImageScores
        The range of the truth is that of the pixels that count.

    Raises
    ------
    ValueError
        If the shapes differ, or no pixel counts.
    """
    from skimage.metrics import structural_similarity

    if truth.shape != found.shape:
        raise ValueError(f"truth {truth.shape} and {found.shape} differ")
    x, y = truth.astype(np.float64), found.astype(np.float64)
    chosen = np.isfinite(x) if seen is None else seen & np.isfinite(x)
    if not chosen.any():
        raise ValueError("no pixel counts")
    span = float(np.ptp(x[chosen])) or 1.0
    pairs = Correlation(1)
    pairs.add(x[chosen][None], y[chosen][None])
    error = float(((x[chosen] - y[chosen]) ** 2).mean())
    psnr = 20 * np.log10(span) - 10 * np.log10(max(error, 1e-12 * span**2))
    filled = [np.where(chosen, v, 0) for v in (x, y)]
    window = min(7, *(n - 1 + n % 2 for n in x.shape))
    if window < 3:
        similarity = np.ones(x.shape)
    else:
        _, similarity = structural_similarity(
            *filled, data_range=span, win_size=window, full=True
        )
    return ImageScores(
        float(pairs.values()[0]), float(psnr), float(similarity[chosen].mean())
    )
