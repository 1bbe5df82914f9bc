"""Labels without channels, shown over an image that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fcn.data.store import ChunkStore


class ChannelBroadcast:
    """A store repeated along a channel axis, so that layers align.

    napari aligns layers at their last axes. Labels of an image with axes (T, C, Y, X)
    have axes (T, Y, X) and would be taken for (C, Y, X); so they get a channel axis on
    which every position shows, and paints on, the same labels.

    Parameters
    ----------
    store : ChunkStore
        The labels, without channels.
    axis : int
        Where the channel axis is.
    channels : int
        Its length.
    """

    def __init__(self, store: ChunkStore, axis: int, channels: int) -> None:
        self._store = store
        self._axis = axis
        shape = store.shape
        self.shape = (*shape[:axis], channels, *shape[axis:])
        self.dtype = store.dtype
        self.ndim = len(self.shape)
        self.size = store.size * channels

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole as a numpy array."""
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read as numpy would."""
        keys = self._expand(key)
        channel = keys.pop(self._axis)
        values: NDArray[Any] = self._store[tuple(keys)]
        if isinstance(channel, slice):
            count = len(range(*channel.indices(self.shape[self._axis])))
            position = sum(isinstance(k, slice) for k in keys[: self._axis])
            values = np.repeat(np.expand_dims(values, position), count, position)
        return values

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write as numpy would, to all channels at once."""
        keys = self._expand(key)
        channel = keys.pop(self._axis)
        if isinstance(channel, slice) and np.ndim(value):
            position = sum(isinstance(k, slice) for k in keys[: self._axis])
            value = np.take(value, 0, axis=position)
        self._store[tuple(keys)] = value

    def _expand(self, key: Any) -> list[Any]:
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            fill = [slice(None)] * (self.ndim - len(keys) + 1)
            keys = keys[:at] + fill + keys[at + 1 :]
        return keys + [slice(None)] * (self.ndim - len(keys))
