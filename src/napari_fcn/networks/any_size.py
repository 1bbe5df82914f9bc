"""Networks that take images of any size."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_fcn.networks.borders import mirrored


class AnySize(nn.Module):
    """A network whose input need not fit its total stride.

    An image that does not is continued by reflection at its end, as far as it takes,
    and the output is cut back to the size of the image. What fits passes untouched.
    """

    def __call__(self, image: torch.Tensor, *others: Any) -> Any:
        """Map an image (N, C, ...) of any size to outputs of the same size."""
        sizes = image.shape[2:]
        stride = self.total_stride(len(sizes))
        missing = [-n % s for n, s in zip(sizes, stride, strict=True)]
        if not any(missing):
            return super().__call__(image, *others)
        for axis, pad in enumerate(missing, start=2):
            if pad:
                index = mirrored(image.shape[axis], pad, image.device)[pad:]
                image = image.index_select(axis, index)
        return _cut(super().__call__(image, *others), sizes)

    def total_stride(self, ndim: int) -> tuple[int, ...]:
        """Return the total stride per spatial axis, computed when first needed."""
        found: tuple[int, ...] | None = self.__dict__.get("_stride")
        if found is None:
            from napari_fcn.networks.receptive_field import receptive_field

            found = receptive_field(self, ndim).stride
            self.__dict__["_stride"] = found
        return found


def _cut(output: Any, sizes: torch.Size) -> Any:
    """Cut the spatial axes of one output, or of several, to these sizes."""
    if isinstance(output, tuple):
        return tuple(_cut(part, sizes) for part in output)
    return output[(..., *(slice(n) for n in sizes))]
