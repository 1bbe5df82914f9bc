"""Small configurations of every network, and the field that gradients see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import (
    NETWORKS,
    ReceptiveField,
    build_network,
    receptive_field,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {
    "cnn": {"layers": 3},
    "fcn-16s": {"width": 1, "depth": 2},
    "fcn-32s": {"width": 1, "depth": 2},
    "fcn-8s": {"width": 1, "depth": 3},
    "patch": {"depth": 2},
}
SMALL_3D = {"fcn-8s": 3, "fcn-16s": 2}
IN_2D_ONLY = ("unet-pretrained",)


def small_config(name: str, ndim: int) -> NetworkConfig:
    options = {"width": 2, "depth": 2, **SMALL.get(name, {})}
    if ndim == 3:
        options["depth"] = SMALL_3D.get(name, 1)
    return NetworkConfig(name=name, ndim=ndim, **options)


@pytest.fixture(
    params=[(n, d) for n in NETWORKS for d in (2, 3) if d == 2 or n not in IN_2D_ONLY],
    ids=lambda pair: f"{pair[0]}-{pair[1]}d",
)
def config(request: pytest.FixtureRequest) -> NetworkConfig:
    """Each network in 2D and 3D, narrow and shallow."""
    return small_config(*request.param)


def all_positive(network: nn.Module) -> nn.Module:
    """Let nothing cancel, nothing be cut off and nothing grow: weighted means.

    The middle weighs most, so that noise stays noise from layer to layer.
    """
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(module.weight)  # some libraries start at zero
        elif isinstance(weight, nn.Parameter):
            nn.init.constant_(weight, 0.1)
            middle = tuple(size // 2 for size in weight.shape[2:])
            nn.init.ones_(weight[(slice(None), slice(None), *middle)])
            weight.data /= weight[0].sum()
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network.eval().double()


def noise_and_slopes(
    network: nn.Module, field: ReceptiveField, axis: int
) -> torch.Tensor:
    stride, ndim = field.stride[axis], len(field.stride)
    shape = [2 * s if ndim == 2 else s for s in field.stride]
    shape[axis] = 2 * (field.halo[axis] // stride + 4) * stride
    torch.manual_seed(0)
    channels = network.config.input_channels
    slopes = torch.tensor([-3, 3] + [0] * 8, dtype=torch.float64)
    ramp = torch.arange(shape[axis]).view(-1, *[1] * (ndim - 1 - axis))
    image = torch.rand((len(slopes), channels, *shape), dtype=torch.float64)
    return image + slopes.view(-1, *[1] * (ndim + 1)) * ramp + 3 * shape[axis]


def seen_along(network: nn.Module, field: ReceptiveField, axis: int) -> tuple[int, int]:
    """Largest reach along one axis, over all positions within a stride.

    The image is long along that axis and narrow along the others. What wins a maximum
    is, on a slope, always the outermost pixel, and in noise any: over several draws
    and all output pixels across the axis each has its turn.
    """
    stride = field.stride[axis]
    image = noise_and_slopes(network, field, axis).requires_grad_()
    centre = image.shape[axis + 2] // 2
    output = network(image)[:, 0]
    before = after = 0
    for position in range(centre, centre + stride):
        pixel = output.select(axis + 1, position).sum()
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        others = tuple(a for a in range(image.ndim) if a != axis + 2)
        found = gradient.abs().sum(others).nonzero()
        before = max(before, position - int(found.min()))
        after = max(after, int(found.max()) - position)
    return before, after


def changed_along(
    network: nn.Module, field: ReceptiveField, axis: int
) -> tuple[int, int]:
    """Largest reach, up to three pixels beyond the field, of what changes an output.

    Which pixel wins a maximum has no gradient, but it decides where pooling indices
    put the value.
    """
    image = noise_and_slopes(network, field, axis)
    output, centre = network(image)[:, 0], image.shape[axis + 2] // 2
    reached = [0, 0]
    for position in range(centre, centre + field.stride[axis]):
        for side, reach in enumerate((-field.before[axis], field.after[axis])):
            for distance in range(abs(reach) + 3, reached[side], -1):
                other = image.clone()
                pixel = position + (distance if side else -distance)
                other.select(axis + 2, pixel).mul_(1.5)
                changed = network(other)[:, 0] != output
                if changed.select(axis + 1, position).any():
                    reached[side] = distance
                    break
    return reached[0], reached[1]


@pytest.fixture
def seen_by_gradients() -> Callable[..., tuple[int, int]]:
    def measure(config: NetworkConfig, axis: int = 0) -> tuple[int, int]:
        network = all_positive(build_network(config))
        return seen_along(network, receptive_field(network, config.ndim), axis)

    return measure


@pytest.fixture
def seen_by_changes() -> Callable[..., tuple[int, int]]:
    @torch.inference_mode()
    def measure(config: NetworkConfig, axis: int = 0) -> tuple[int, int]:
        network = all_positive(build_network(config))
        return changed_along(network, receptive_field(network, config.ndim), axis)

    return measure
