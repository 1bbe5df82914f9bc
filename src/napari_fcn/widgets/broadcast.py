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
        keys = self._basic(key)
        if keys is None:
            return np.asarray(self._store[self._positions(key)])
        channel = range(self.shape[self._axis])[keys.pop(self._axis)]
        values = np.asarray(self._store[tuple(keys)])
        if isinstance(channel, int):
            return values
        position = self._place(keys)
        return np.repeat(np.expand_dims(values, position), len(channel), position)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write as numpy would, to all channels at once.

        A brush that is round along the channels, too, changes each of them by another
        amount: what is changed on one of them is changed on all.
        """
        keys = self._basic(key)
        if keys is None:
            self._store[self._positions(key)] = value
            return
        channel = range(self.shape[self._axis])[keys.pop(self._axis)]
        inner = tuple(keys)
        if isinstance(channel, range) and np.ndim(value):
            before = np.asarray(self._store[inner])
            value = _merged(before, value, len(channel), self._place(keys))
        self._store[inner] = value

    def _place(self, keys: list[Any]) -> int:
        """Return where the channel axis is in what has been read."""
        return sum(isinstance(k, slice) for k in keys[: self._axis])

    def _basic(self, key: Any) -> list[Any] | None:
        """Return one integer or slice per axis; None for anything else."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            fill = [slice(None)] * (self.ndim - len(keys) + 1)
            keys = keys[:at] + fill + keys[at + 1 :]
        keys += [slice(None)] * (self.ndim - len(keys))
        whole = all(isinstance(k, slice | int | np.integer) for k in keys)
        return keys if whole and not any(isinstance(k, bool) for k in keys) else None

    def _positions(self, key: Any) -> tuple[NDArray[np.intp], ...]:
        """Return the positions that an index of any kind means, one array per axis."""
        places = []
        for axis, size in enumerate(self.shape):
            if axis == self._axis:
                continue
            along = [-1 if i == axis else 1 for i in range(self.ndim)]
            position = np.broadcast_to(np.arange(size).reshape(along), self.shape)
            places.append(np.ascontiguousarray(position[key]))
        return tuple(places)


def _merged(before: NDArray[Any], value: Any, channels: int, axis: int) -> NDArray[Any]:
    """Take from each channel what differs from `before`; the last one wins."""
    shape = [*before.shape[:axis], channels, *before.shape[axis:]]
    merged = before.copy()
    for plane in np.moveaxis(np.broadcast_to(value, shape), axis, 0):
        np.copyto(merged, plane, where=plane != before, casting="unsafe")
    return merged
