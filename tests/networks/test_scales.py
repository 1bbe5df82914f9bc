"""A network that sees the image in several sizes."""

from __future__ import annotations

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.solved_head import body_features
from napari_fcn.networks import build_network, count_parameters, receptive_field
from napari_fcn.networks.blocks import CONV
from napari_fcn.networks.resizing import doubling, halving, made_of


def unet(scales: int | None, **options: object):
    torch.manual_seed(0)
    config = {"width": 4, "depth": 2, "scales": scales, **options}
    return build_network(NetworkConfig.model_validate(config)).eval()


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_same_weights_see_each_size(ndim):
    one, three = unet(1, ndim=ndim), unet(3, ndim=ndim)
    body = {k: v for k, v in one.state_dict().items() if not k.startswith("head.")}
    three.load_state_dict(body, strict=False)
    image = torch.rand(1, 1, *(4, 32, 48)[3 - ndim :])
    found = body_features(three, image).split(4, dim=1)
    halve, enlarge = halving(ndim), doubling(ndim)
    expected = body_features(one, image)
    assert torch.allclose(found[0], expected, atol=1e-5)
    half = enlarge(body_features(one, halve(image)))
    assert torch.allclose(found[1], half, atol=1e-5)
    quarter = enlarge(enlarge(body_features(one, halve(halve(image)))))
    assert torch.allclose(found[2], quarter, atol=1e-5)


def test_only_the_last_layer_has_more_weights():
    assert count_parameters(unet(2)) == count_parameters(unet(1)) + 4 * 2
    assert count_parameters(unet(None)) == count_parameters(unet(1))


def test_halves_are_means_of_blocks():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    assert torch.equal(halving(2)(image)[0, 0], expected)


def test_volumes_keep_their_planes():
    volume = torch.rand(1, 2, 3, 4, 6)
    half = halving(3)(volume)
    assert half.shape == (1, 2, 3, 2, 3)
    assert torch.allclose(half[:, :, 1], halving(2)(volume[:, :, 1]))
    large = doubling(3)(volume)
    assert large.shape == (1, 2, 3, 8, 12)
    assert torch.allclose(large[:, :, 1], doubling(2)(volume[:, :, 1]), atol=1e-6)


def test_interpolation_of_a_ramp_is_a_ramp():
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    inner = doubling(2)(ramp)[0, 0, 0, 1:-1]
    assert torch.allclose(inner.diff(), torch.tensor(0.5))


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (3, 1), (1, 1)])
def test_features_are_enlarged_at_some_pixels_as_everywhere(shape):
    smaller = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    everywhere = doubling(2)(smaller).flatten(2).mT
    pixels = torch.arange(everywhere.shape[1]).flip(0)
    places, shares = made_of(pixels, *shape)
    found = torch.einsum("ncfp,f->npc", smaller.flatten(2)[..., places], shares)
    assert torch.allclose(found, everywhere[:, pixels], atol=1e-6)


def test_of_a_volume_it_grows_in_the_plane():
    one, two = (receptive_field(unet(scales, ndim=3)) for scales in (1, 2))
    assert two.stride == (4, 8, 8)
    assert two.halo[0] == one.halo[0]
    assert two.halo[1] > 2 * one.halo[1]


def test_deep_supervision_stays_that_of_the_image():
    network = unet(2, deep_supervision=True).train()
    outputs = network(torch.rand(1, 1, 16, 16))
    assert [x.shape for x in outputs] == [(1, 2, 16, 16)] * 2


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_last_layer_sees_all_sizes_in_that_of_the_image(ndim):
    network = unet(3, ndim=ndim)
    image = torch.rand(1, 1, *(4, 32, 48)[3 - ndim :])
    features = body_features(network, image)
    assert features.shape == (1, 12, *image.shape[2:])
    expected = CONV[ndim](12, 2, 1)
    expected.load_state_dict(network.head.state_dict())
    assert torch.allclose(network(image), expected(features), atol=1e-5)


def test_its_weights_learn_as_those_of_a_convolution_would():
    network = unet(2)
    image, target = torch.rand(1, 1, 16, 24), torch.zeros(1, 16, 24, dtype=torch.int64)
    plain = CONV[2](8, 2, 1)
    plain.load_state_dict(network.head.state_dict())
    for output in (network(image), plain(body_features(network, image).detach())):
        torch.nn.functional.cross_entropy(output, target).backward()
    for mine, theirs in zip(network.head.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)
