"""The computed receptive field against the one that gradients see."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, layer_fields, receptive_field
from napari_fcn.networks.borders import Crop, Mirror


@pytest.mark.parametrize(
    ("depth", "scales"), [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (1, 3), (2, 2)]
)
@pytest.mark.parametrize("skips", [True, False])
def test_equals_what_gradients_see_in_2d(depth, scales, skips, seen_by_gradients):
    config = NetworkConfig(
        width=2, depth=depth, batch_norm=False, skips=skips, scales=scales
    )
    field = receptive_field(build_network(config))
    for axis in (0, 1):
        seen = seen_by_gradients(config, axis)
        assert (field.before[axis], field.after[axis]) == seen
    assert field.stride == (2 ** (depth + scales - 1),) * 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_equals_what_gradients_see_with_flat_levels(axis, seen_by_gradients):
    config = NetworkConfig(ndim=3, width=2, depth=2, flat_levels=1)
    field = receptive_field(build_network(config))
    assert (field.before[axis], field.after[axis]) == seen_by_gradients(config, axis)


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


def test_layer_by_layer_by_hand():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 2, (3, 1), padding=(1, 0)),
        nn.ConvTranspose2d(2, 1, 2, 2),
    )
    layers = layer_fields(network)
    assert [layer.kind for layer in layers] == [
        "Conv2d",
        "MaxPool2d",
        "Conv2d",
        "ConvTranspose2d",
    ]
    assert [layer.name for layer in layers] == ["0", "2", "3", "4"]
    assert [layer.size for layer in layers] == [(3, 3), (4, 4), (8, 4), (9, 5)]
    assert [layer.stride[0] for layer in layers] == [1, 2, 2, 1]
    assert [layer.offset for layer in layers] == [
        (0, 0),
        (0.5, 0.5),
        (0.5, 0.5),
        (0, 0),
    ]


def test_the_last_layer_sees_what_the_network_sees():
    network = build_network(NetworkConfig(name="unet-2015", width=2, depth=2))
    field = receptive_field(network)
    last = layer_fields(network)[-1]
    assert last.size == field.size
    assert last.stride == (1, 1)


def test_sampled_on_a_shifted_grid():
    """Cropping and mirroring count feature pixels from elsewhere."""
    network = nn.Sequential(Mirror((3, 3)), nn.Conv2d(1, 1, 7), Crop((1, 1)))
    assert receptive_field(network).before == (2, 2)
    assert receptive_field(network).after == (4, 4)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x[:, :, 1:],
        lambda x: torch.softmax(x, 2),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x[..., 0],
    ],
)
def test_operations_that_look_along_the_image_are_refused(operation):
    class Module(nn.Module):
        def forward(self, image):
            return operation(image)

    with pytest.raises(UserError, match="tile exactly"):
        receptive_field(Module(), 2)


def test_training_mode_is_kept_layer_by_layer():
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)).train()
    network[1].eval()
    receptive_field(network)
    assert network.training
    assert network[0].training
    assert not network[1].training
