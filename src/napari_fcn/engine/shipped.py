"""Weights that come with the package: where a U-Net starts unless told otherwise."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, cast

import torch
from safetensors.torch import load

from napari_fcn.networks.blocks import for_channels
from napari_fcn.networks.photo_features import PHOTOGRAPHS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_fcn.config import NetworkConfig

SHIPPED = "shipped"
"""What a model says of its start if that was here."""
_FILE = "unet.safetensors"
HEAD_COVARIANCE = "head_covariance"
"""The name in the file of what `head_covariance` returns."""
_SEES_IMAGE = "encoder.0.0.weight"
"""The kernels whose input channels may be others than those learned with."""
_NOT_OF_THE_BODY = ("head.", PHOTOGRAPHS)
"""What a network has besides: its last layer, and features that never change."""
_COVERAGE = 1
"""Channels that a U-Net adds to the image: `CoverageChannel`."""


def start_from_shipped(network: nn.Module) -> bool:
    """Copy the shipped weights into a network of the same form, whatever its channels.

    The weights were learned on three colours in 2D. The channels of other images take
    turns in being red, green and blue; one alone is all three (see `for_channels`).
    Coordinates have no weight at first. In 3D each kernel lies in the middle plane of
    the larger one, so that the network begins as the 2D one on each section.

    Parameters
    ----------
    network : nn.Module
        Its body is changed in place, if every layer fits: all but its layer ``head``
        and what it has of photographs.

    Returns
    -------
    bool
        Whether they fit.
    """
    found = _fitted_body(network)
    if found is None:
        return False
    mine = network.state_dict()
    with torch.no_grad():
        for name, tensor in found.items():
            mine[name].copy_(tensor)
    return True


def _fitted_body(network: nn.Module) -> dict[str, Tensor] | None:
    """Return shipped weights in the shapes that a network has, if every layer fits."""
    body = _body()
    found: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        if name.startswith(_NOT_OF_THE_BODY):
            continue
        shipped = body.get(name)
        if shipped is not None and name == _SEES_IMAGE:
            shipped = _for_channels(shipped, cast("NetworkConfig", network.config))
        fitted = None if shipped is None else _fitted(shipped, tensor.shape)
        if fitted is None:
            return None
        found[name] = fitted
    return found if len(found) == len(body) else None


def head_covariance() -> Tensor:
    """Return the covariance of last layers on the shipped body, over many tasks.

    Returns
    -------
    Tensor
        float32 (D, D), of the weights of a class for standardised features.
    """
    return _shipped()[HEAD_COVARIANCE]


def _body() -> dict[str, Tensor]:
    return {name: t for name, t in _shipped().items() if name != HEAD_COVARIANCE}


@cache
def _shipped() -> dict[str, Tensor]:
    file = resources.files("napari_fcn") / "weights" / _FILE
    return {name: tensor.float() for name, tensor in load(file.read_bytes()).items()}


def _fitted(shipped: Tensor, shape: torch.Size) -> Tensor | None:
    """Return a tensor, in 3D one of a volume, if it has the shape then, or None."""
    if shipped.ndim == 4 and len(shape) == 5:
        shipped = _deepened(shipped, shape[2])
    return shipped if shipped.shape == shape else None


def _for_channels(weight: Tensor, config: NetworkConfig) -> Tensor:
    image, coverage = weight[:, :-_COVERAGE], weight[:, -_COVERAGE:]
    coordinates = config.input_channels - config.in_channels
    seen = for_channels(image, config.in_channels, coordinates)
    return torch.cat([seen, coverage], 1)


def _deepened(weight: Tensor, depth: int) -> Tensor:
    """Put a 2D kernel into the middle plane; spread an up-convolution's over both."""
    deep = weight.new_zeros(*weight.shape[:2], depth, *weight.shape[2:])
    if depth % 2:
        deep[:, :, depth // 2] = weight
    else:
        deep[:] = weight.unsqueeze(2)
    return deep
