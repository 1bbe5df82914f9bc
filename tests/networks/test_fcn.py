from __future__ import annotations

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, count_parameters, receptive_field
from napari_fcn.networks.fcn import bilinear

VGG_16 = 14_714_688
"""Parameters of its 13 convolutions, from 3 channels, as published."""


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("fcn-32s", [64]),
        ("fcn-16s", [4, 32]),
        ("fcn-8s", [4, 4, 16]),
    ],
)
def test_parameters_of_the_published_size(name, kernels):
    config = NetworkConfig(
        name=name, width=64, in_channels=3, out_channels=21, batch_norm=False
    )
    with torch.device("meta"):
        network = build_network(config)
    layers = (49 * 512 + 1) * 4096 + (4096 + 1) * 4096
    scores = sum((c + 1) * 21 for c in (4096, 512, 256)[: len(kernels)])
    up = sum(21 * k * k for k in kernels)
    assert count_parameters(network) == VGG_16 + layers + scores + up
    # "134M" in table 1 of Long et al. for the network up to the scores
    assert round((VGG_16 + layers + (4096 + 1) * 21) / 1e6) == 134


def test_the_encoder_is_that_of_vgg_16():
    config = NetworkConfig(name="fcn-8s", width=64, in_channels=3, batch_norm=False)
    with torch.device("meta"):
        network = build_network(config)
    assert count_parameters(network.stages) == VGG_16
    # 5 poolings and the window of 7 pixels: the 404 pixels of FCN-32s in table 1,
    # and one more pixel of the coarsest level from interpolating
    config = config.model_copy(update={"name": "fcn-32s"})
    with torch.device("meta"):
        network = build_network(config)
    field = receptive_field(network)
    assert field.stride == (32, 32)
    assert field.size == (404 + 2 * 32 - 1,) * 2


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("factor", [2, 8])
def test_transposed_convolution_starts_as_bilinear_interpolation(ndim, factor):
    """Exact for a plane, away from the border; channels do not mix."""
    layer = bilinear(ndim, 2, factor).double()
    shape = (5,) * ndim
    coarse = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"))
    coarse = coarse[-2:].double()
    with torch.inference_mode():
        fine = layer(coarse[None])[0]
    centres = (torch.arange(5 * factor) - (factor - 1) / 2) / factor
    expected = torch.stack(torch.meshgrid(*[centres] * ndim, indexing="ij"))[-2:]
    inner = (slice(None), *[slice(factor, -factor)] * ndim)
    torch.testing.assert_close(fine[inner], expected.double()[inner])


def test_interpolation_is_learned():
    config = NetworkConfig(name="fcn-8s", width=1)
    network = build_network(config)
    assert all(up.weight.requires_grad for up in network.head.up)


def test_scores_start_at_zero():
    network = build_network(NetworkConfig(name="fcn-16s", width=1)).eval()
    assert not network(torch.rand(1, 1, 32, 64)).any()


def test_without_skips_it_is_an_fcn_32s():
    no_skips = NetworkConfig(name="fcn-8s", width=1, skips=False)
    coarse = NetworkConfig(name="fcn-32s", width=1)
    a, b = (build_network(c).state_dict() for c in (no_skips, coarse))
    assert {k: v.shape for k, v in a.items()} == {k: v.shape for k, v in b.items()}


def test_skips_make_the_output_finer():
    """A change of one pixel of pool 3 reaches 16 pixels, of the end 64."""
    network = build_network(NetworkConfig(name="fcn-8s", width=1)).eval()
    for score in network.head.scores:
        torch.nn.init.ones_(score.weight)
    sizes = []
    for level, (channels, stride) in enumerate([(64, 32), (8, 16), (4, 8)]):
        inputs = [
            torch.zeros(1, c, 256 // s, 256 // s)
            for c, s in [(64, 32), (8, 16), (4, 8)]
        ]
        inputs[level][0, :, 128 // stride, 128 // stride] = 1
        output = network.head(inputs[0], inputs[1:])[0, 0]
        sizes.append(int(output.any(0).sum()))
        assert channels == inputs[level].shape[1]
    assert sizes[0] > sizes[1] > sizes[2] == 16


def test_too_shallow_for_its_skips():
    with pytest.raises(UserError, match="depth of 3"):
        build_network(NetworkConfig(name="fcn-8s", depth=2))
