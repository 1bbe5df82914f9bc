"""How arrays with axes in any order are kept in formats that fix the order.

Files hold the axes in the order other programs expect, and next to it a small
record of the original order, scale, units and origin. Other programs ignore the
record; reading it back gives the very array that was written.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORD = "napari_fcn"  # key of the record in a file's metadata


@dataclass(frozen=True)
class Layout:
    """The original axes of an array and the order it is stored in.

    Attributes
    ----------
    axes : Axes
        The axes of the array.
    shape : tuple of int
        Its shape.
    order : str
        The same letters in the order of the file.
    """

    axes: Axes
    shape: tuple[int, ...]
    order: str

    @property
    def permutation(self) -> tuple[int, ...]:
        """Transposes the array to the stored order."""
        return tuple(self.axes.names.index(letter) for letter in self.order)

    def dumps(self) -> str:
        """Return the record as one line of ASCII JSON."""
        return json.dumps(
            {
                "axes": self.axes.names,
                "shape": self.shape,
                "order": self.order,
                "scale": self.axes.scale,
                "units": self.axes.units,
                "translate": self.axes.translate,
            }
        )

    @classmethod
    def loads(cls, record: Any) -> Layout | None:
        """Read a record, None if it is missing or not sound."""
        try:
            content = json.loads(record)
            axes = Axes(
                str(content["axes"]),
                tuple(float(s) for s in content["scale"]),
                tuple(str(u) for u in content["units"]),
                tuple(float(t) for t in content["translate"]),
            )
            layout = cls(
                axes, tuple(int(n) for n in content["shape"]), str(content["order"])
            )
        except (ValueError, TypeError, KeyError, UserError, RecursionError):
            return None
        sound = sorted(layout.order) == sorted(axes.names)
        sound = sound and len(layout.shape) == len(axes)
        return layout if sound else None

    def restore(self, data: Any) -> Any:
        """Bring what a file holds back to the original shape, lazily.

        Parameters
        ----------
        data : array
            In the stored order; axes of size 1 may be missing.

        Returns
        -------
        array
            ``data`` itself, a numpy view or a dask array; None if it does not fit.
        """
        stored = tuple(self.shape[i] for i in self.permutation)
        if math.prod(stored) != math.prod(data.shape):
            return None
        back = tuple(int(i) for i in np.argsort(self.permutation))
        if tuple(data.shape) != stored:
            data = lazy(data).reshape(stored)
        if back != tuple(range(len(back))):
            data = lazy(data).transpose(back)
        return data


def lazy(data: Any) -> Any:
    """Return a numpy or dask array that can be reshaped without reading it all."""
    if isinstance(data, np.ndarray | da.Array):
        return data
    # Named by dask's hash of the object the graph would cost a read of the data.
    return da.from_array(data, chunks=data.chunks, name=False)


def sort_axes(names: str, key: Sequence[str]) -> str:
    """Sort axis letters by groups, keeping the order within a group.

    Parameters
    ----------
    names : str
        The letters of an array.
    key : sequence of str
        Groups of letters; the empty one stands for all letters not named.
    """

    def group(letter: str) -> int:
        named = [i for i, letters in enumerate(key) if letter in letters]
        return named[0] if named else list(key).index("")

    return "".join(sorted(names, key=group))
