"""What enters a network besides the image: the place of each pixel, if it wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.crops import BlockCache
from napari_fcn.networks.coordinates import coordinate_channels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import NetworkConfig
    from napari_fcn.data.annotations import SampleKey
    from napari_fcn.data.normalisation import Normalisation
    from napari_fcn.data.source import ImageSource


def network_input(
    config: NetworkConfig,
    image: NDArray[np.float32],
    region: Sequence[slice],
    shape: Sequence[int],
) -> NDArray[np.float32]:
    """Add the coordinates of a region to its pixels, if the network takes them.

    Parameters
    ----------
    config : NetworkConfig
        Of the network.
    image : ndarray
        float32 (C, ...), the normalised region.
    region : sequence of slice
        Where it lies in the whole image.
    shape : sequence of int
        Spatial shape of the whole image.

    Returns
    -------
    ndarray
        float32 (`config.input_channels`, ...).
    """
    if not config.coordinates:
        return image
    return np.concatenate([image, coordinate_channels(region, shape)])


def input_cache(
    images: Sequence[ImageSource],
    normalisations: Sequence[Normalisation],
    config: NetworkConfig,
) -> BlockCache:
    """Return where training crops are read: with coordinates, if they are wanted."""
    if config.coordinates:
        return _WithCoordinates(images, normalisations)
    return BlockCache(images, normalisations)


class _WithCoordinates(BlockCache):
    """Blocks of images, to which coordinates are added as they are read."""

    def read(self, key: SampleKey, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return a region (C + ndim, ...) of a sample."""
        shape = self._images[key[0]].spatial_shape
        pixels = super().read(key, region)
        return np.concatenate([pixels, coordinate_channels(region, shape)])
