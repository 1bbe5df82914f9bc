"""Between what values the colours of a predicted image lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST = 16
_POINTS = 512


def range_of(seen: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return between what almost all values lie; None while there are hardly any.

    Parameters
    ----------
    seen : ndarray of float32
        What is on the screen; 0 is what has not been predicted yet.
    """
    seen = seen[tuple(slice(None, None, max(1, n // _POINTS)) for n in seen.shape)]
    values = seen[seen != 0]
    if values.size < _FEWEST:
        return None
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.8)))
    return (low, high) if high > low else None
