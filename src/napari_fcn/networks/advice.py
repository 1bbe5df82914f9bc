"""Whether a network can see the painted objects as a whole, and what would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from napari_fcn.config import NetworkConfig
from napari_fcn.networks.receptive_field import receptive_field
from napari_fcn.networks.registry import ARCHITECTURES, build_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def object_extents(
    labels: NDArray[Any], ndim: int, background: Sequence[int] = (0, 1)
) -> tuple[int, ...]:
    """Return how large the painted objects are: the median of the largest tenth.

    Parameters
    ----------
    labels : ndarray
        Integers; the last ``ndim`` axes are spatial, those before it samples. Touching
        pixels of one value are an object.
    ndim : int
        Number of spatial axes.
    background : sequence of int
        Values that are not objects: by default 0, not annotated, and class 1.

    Returns
    -------
    tuple of int
        Extent in pixels per spatial axis; zeros if there is no object.
    """
    found: list[tuple[int, ...]] = []
    for sample in labels.reshape(-1, *labels.shape[labels.ndim - ndim :]):
        for value in np.setdiff1d(np.unique(sample), background):
            connected = ndimage.label(sample == value)[0]
            found += [
                tuple(s.stop - s.start for s in box)
                for box in ndimage.find_objects(connected)
            ]
    if not found:
        return (0,) * ndim
    extents = np.sort(np.array(found), axis=0)
    largest = extents[-max(1, len(extents) // 10) :]
    return tuple(int(e) for e in np.median(largest, axis=0))


def depth_for(config: NetworkConfig, extents: Sequence[int]) -> NetworkConfig | None:
    """Find the least depth whose receptive field is as large as an object.

    Parameters
    ----------
    config : NetworkConfig
        The network in use.
    extents : sequence of int
        Size of an object in pixels per spatial axis.

    Returns
    -------
    NetworkConfig or None
        The same network with more depth (or, for the plain CNN, more layers); None if
        even the largest is too small, or depth is not a setting of this network.
    """
    field = "layers" if config.name == "cnn" else "depth"
    if field not in ARCHITECTURES[config.name].settings:
        return None
    most = _most(field)
    for value in range(getattr(config, field), most + 1):
        deeper = config.model_copy(update={field: value})
        if _covers(deeper, extents):
            return deeper
    return None


def advise(config: NetworkConfig, extents: Sequence[int]) -> str:
    """Say whether the network sees the painted objects as a whole.

    Parameters
    ----------
    config : NetworkConfig
        The network in use.
    extents : sequence of int
        Size of an object in pixels per spatial axis, as `object_extents` returns it.

    Returns
    -------
    str
        Plain sentences with what to do; empty if all is well.
    """
    if _covers(config, extents):
        return ""
    size = " × ".join(str(s) for s in _sizes(config))
    problem = (
        f"The painted objects are up to {' × '.join(map(str, extents))} pixels large, "
        f"but what the network learns sees only {size} pixels around each pixel"
    )
    deeper = depth_for(config, extents)
    if deeper is None:
        return f"{problem}; scale the image down."
    setting = "layers" if config.name == "cnn" else "depth"
    seen = " × ".join(str(s) for s in _sizes(deeper))
    return (
        f"{problem}; choose {setting} {getattr(deeper, setting)}, which sees {seen} "
        "pixels, or scale the image down."
    )


def _most(field: str) -> int:
    """Return the largest value that the configuration allows."""
    limits = NetworkConfig.model_fields[field].metadata
    return next(int(limit.le) for limit in limits if hasattr(limit, "le"))


def _sizes(config: NetworkConfig) -> tuple[int, ...]:
    learns = config.model_copy(update={"photo_features": False})
    with torch.device("meta"):  # takes no memory, whatever the size
        network = build_network(learns)
    return receptive_field(network, config.ndim).size


def _covers(config: NetworkConfig, extents: Sequence[int]) -> bool:
    return all(s >= e for s, e in zip(_sizes(config), extents, strict=True))
