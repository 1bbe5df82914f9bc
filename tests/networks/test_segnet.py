from __future__ import annotations

import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, count_parameters


def published() -> torch.nn.Module:
    config = NetworkConfig(name="segnet", width=64, in_channels=3, out_channels=12)
    with torch.device("meta"):
        return build_network(config)


def test_parameters_of_the_published_size():
    network = published()
    vgg_16 = 14_714_688  # "14.7M" in section 3
    biases = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
    weights = vgg_16 - biases
    # in place of each bias batch norm has two numbers
    assert count_parameters(network.encoder) == weights + 2 * biases
    # the same weights in reverse, without those that see 3 colours
    outputs = [512] * 5 + [256] * 3 + [128] * 2 + [64] * 2
    decoder = weights - 9 * 3 * 64 + 2 * sum(outputs)
    assert count_parameters(network.decoder) == decoder
    # the model's 117 MB in table 6, at 4 bytes each
    assert int(4 * count_parameters(network) / 1e6) == 117


def test_convolutions_mirror_the_encoder():
    network = published()

    def pairs(part):
        convolutions = [m for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
        return [(m.in_channels, m.out_channels) for m in convolutions]

    down = pairs(network.encoder)
    up = [p for stage in reversed(network.decoder) for p in pairs(stage)]
    up += pairs(torch.nn.ModuleList([network.head]))
    assert len(down) == len(up) == 13
    assert up[:-1] == [(o, i) for i, o in reversed(down)][:-1]
    assert up[-1] == (64, 12)


def test_values_return_to_where_the_maxima_were():
    network = build_network(NetworkConfig(name="segnet", width=1, depth=1))
    features = torch.rand(1, 3, 8, 8)
    pooled, indices = network.pool(features)
    back = network.unpool(pooled, indices)
    assert torch.equal(back[back != 0], features[back != 0])
    windows = back.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert ((windows != 0).sum(-1) == 1).all()
    assert torch.equal(windows.amax(-1), pooled)


def test_nothing_else_passes_from_encoder_to_decoder():
    """Its decoder is no wider than without a skip, unlike that of a U-Net."""
    network = build_network(NetworkConfig(name="segnet", width=4, depth=2))
    first = network.decoder[0][0]
    assert first.in_channels == 4
