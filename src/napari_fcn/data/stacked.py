"""Several images of one size as the channels of a single one, read lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.source import ImageSource


class StackedImages:
    """Images one behind the other along their channels.

    It reads as an `ImageSource` does.

    Parameters
    ----------
    images : sequence of ImageSource
        Of the same samples and size.

    Raises
    ------
    UserError
        If they differ in size.
    """

    def __init__(self, images: Sequence[ImageSource]) -> None:
        self.images = list(images)
        first = self.images[0]
        self.name = " + ".join(i.name for i in images)
        self.ndim, self.dtype = first.ndim, np.dtype(np.float32)
        self.sample_shape, self.spatial_shape = first.sample_shape, first.spatial_shape
        self.n_channels = sum(i.n_channels for i in images)
        self.n_samples = first.n_samples
        mine = (self.sample_shape, self.spatial_shape)
        for image in images:
            if (image.sample_shape, image.spatial_shape) != mine:
                raise UserError(
                    f"The targets {first.name} and {image.name} differ in size; choose "
                    "targets of the same size."
                )

    def samples(self) -> Any:
        """Iterate over the indices of all samples."""
        return self.images[0].samples()

    def whole(self) -> tuple[slice, ...]:
        """Return the region that is a whole sample."""
        return self.images[0].whole()

    def read(
        self, sample: tuple[int, ...], region: tuple[slice, ...]
    ) -> NDArray[np.float32]:
        """Read a region, float32 (C, *region)."""
        return np.concatenate([i.read(sample, region) for i in self.images])
