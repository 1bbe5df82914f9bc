"""The computed receptive field against the one that gradients see."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, receptive_field


def seen_by_gradients(network: nn.Module, ndim: int, size: int, stride) -> tuple:
    """Largest reach over all positions of an output pixel within a stride."""
    network = network.eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 0.1)
    before, after = [0] * ndim, [0] * ndim
    for offset in range(max(stride)):
        # ReLU passes all and max pooling's ties are broken by smooth positive noise;
        # several draws see every input that can win a maximum.
        for seed in range(6):
            torch.manual_seed(seed)
            image = torch.rand((1, 1) + (size,) * ndim, requires_grad=True)
            centre = size // 2 // max(stride) * max(stride) + offset
            index = (0, 0) + (centre,) * ndim
            (gradient,) = torch.autograd.grad(network(image)[index], image)
            found = gradient[0, 0].nonzero()
            for axis in range(ndim):
                low = int(found[:, axis].min())
                high = int(found[:, axis].max())
                before[axis] = max(before[axis], centre - low)
                after[axis] = max(after[axis], high - centre)
    return tuple(before), tuple(after)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("skips", [True, False])
def test_equals_what_gradients_see_in_2d(depth, skips):
    config = NetworkConfig(width=2, depth=depth, batch_norm=False, skips=skips)
    network = build_network(config)
    field = receptive_field(network)
    before, after = seen_by_gradients(network, 2, 64 if depth < 2 else 96, field.stride)
    assert (field.before, field.after) == (before, after)
    assert field.stride == (2**depth,) * 2


def test_flat_levels_reach_less_far_along_z():
    network = build_network(NetworkConfig(ndim=3, width=2, depth=2, flat_levels=1))
    field = receptive_field(network)
    assert field.stride == (2, 4, 4)
    assert field.halo[0] < field.halo[1] == field.halo[2]


def test_plain_convolutions_by_hand():
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(5)))
    assert receptive_field(network).size == (11, 11)
    strided = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, 1, 1))
    assert receptive_field(strided).before == (3, 3)


def test_a_layer_that_sees_the_whole_image_is_refused():
    with pytest.raises(UserError, match="GroupNorm"):
        receptive_field(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)))
