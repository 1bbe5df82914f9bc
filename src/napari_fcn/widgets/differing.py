"""Where two predictions say something else, as an array that napari can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Differing:
    """1 where two arrays of labels differ, else 0; computed where it is looked at.

    Parameters
    ----------
    one, other : array-like
        Of the same shape, indexed as numpy arrays.
    """

    def __init__(self, one: Any, other: Any) -> None:
        self._pair = (one, other)
        self.shape: tuple[int, ...] = tuple(one.shape)
        self.dtype = np.dtype(np.uint8)
        self.ndim = len(self.shape)
        self.size = int(one.size)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole as a numpy array."""
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Compare a part, indexed as numpy would."""
        one, other = (np.asarray(array[key]) for array in self._pair)
        return np.asarray(one != other, np.uint8)
