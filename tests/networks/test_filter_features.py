"""Fixed filters, and random mixtures of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, receptive_field
from napari_fcn.networks.filter_features import FilterFeatures
from napari_fcn.networks.photo_features import PhotoFeatures, photo_classifier
from napari_fcn.networks.resizing import doubling

DEVIATIONS = (0.7, 1.0, 1.6, 1.6, 2.4, 2.4)
"""Of the filters, in pixels of the size of image that they see."""


@pytest.fixture(scope="module")
def features() -> FilterFeatures:
    return FilterFeatures(1)


def middle(filters: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Return brightness, slope and both curvatures in the middle of (Y, X)."""
    found = filters(image[None, None])
    return found[0, :, image.shape[0] // 2, image.shape[1] // 2]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("turned", [False, True])
def test_slopes_and_curvatures_are_those_of_the_image(features, number, turned):
    filters, deviation = features.filters[number].double(), DEVIATIONS[number]
    place = torch.arange(-20, 21, dtype=torch.float64).expand(41, 41)
    place = place.T if turned else place
    ramp = middle(filters, 0.5 + 0.01 * place)
    expected = torch.tensor([0.5, 0.01 * deviation, 0, 0], dtype=torch.float64)
    assert torch.allclose(ramp, expected, atol=2e-6)
    valley = middle(filters, 0.001 * place**2)
    curvature = 0.002 * deviation**2
    assert valley[2:] == pytest.approx([curvature, 0], abs=2e-6)
    ridge = middle(filters, -0.001 * place**2)
    assert ridge[2:] == pytest.approx([0, -curvature], abs=2e-6)
    filters.float()


def test_a_constant_image_has_no_edge_at_its_border(features):
    found = features(torch.full((1, 1, 32, 48), 0.7))
    assert found.shape == (1, 512, 16, 24)
    assert torch.allclose(found, found[:, :, :1, :1].expand_as(found), atol=1e-4)


def test_turned_and_mirrored_images_have_the_same_features(features):
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = features(image)
    for same in (lambda t: t.rot90(1, (2, 3)), lambda t: t.flip(3)):
        assert torch.allclose(features(same(image)), same(found), atol=1e-4)


def test_mixtures_are_the_same_each_time():
    torch.manual_seed(1)
    one = FilterFeatures(3)
    torch.manual_seed(2)
    other = FilterFeatures(3)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert not any(p.requires_grad for p in one.parameters())


def test_mixtures_vary_and_few_are_never_or_always_at_zero(features):
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 16, 16, generator=random)
    image = coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)
    positive = (features(image) > 0).float().mean((0, 2, 3))
    assert ((positive > 0.05) & (positive < 0.95)).float().mean() > 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_mixtures_are_of_filters_of_deviation_1(channels):
    """Of an image as bright as usual, without slopes, only what is added remains."""
    features = FilterFeatures(channels)
    random = torch.Generator().manual_seed(0)
    torch.randn(512, 40 * channels, generator=random)
    added = torch.randn(512, generator=random)
    found = features(torch.full((1, channels, 16, 16), 0.4))[0, :, 4, 4]
    assert torch.allclose(found, added.relu(), atol=1e-3)


def test_of_very_many_channels_means_are_seen():
    random = torch.Generator().manual_seed(0)
    image = torch.rand(1, 20, 32, 32, generator=random)
    found = FilterFeatures(20)(image)
    means = [image[:, first::8].mean(1) for first in range(8)]
    expected = FilterFeatures(8)(torch.stack(means, 1))
    assert torch.allclose(found, expected, atol=1e-3)


def test_half_precision_comes_close():
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    features = FilterFeatures(1)
    expected = features(image)
    with torch.autocast("cpu", torch.bfloat16):
        found = features(image).float()
    assert (found - expected).abs().max() < 0.05 * expected.max()


def test_every_channel_is_seen_and_coordinates_are_not():
    random = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 32, 32, generator=random)
    features = FilterFeatures(3)
    found = features(image)
    for channel in range(3):
        other = image.clone()
        other[:, channel] = 0.5
        assert not torch.allclose(features(other), found, atol=0.1)
    assert torch.equal(features(torch.cat([image, image[:, :2]], 1)), found)


def test_the_slope_of_a_constant_image_is_finite(features):
    image = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(features(image).sum(), image)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_the_field_is_what_gradients_see(axis):
    features = FilterFeatures(1).double()
    for module in features.modules():  # nothing cancels, and nothing is cut off
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    field = receptive_field(features, 2)
    shape = [16, 16]
    shape[axis] = 2 * (field.halo[axis] // 4 + 4) * 4
    image = torch.full((1, 1, *shape), 0.51, dtype=torch.float64, requires_grad=True)
    output, centre = features(image)[0, 0], shape[axis] // 4
    before = after = 0
    for position in (centre, centre + 1):
        pixel = output.select(axis, position).sum()
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        seen = gradient[0, 0].sum(1 - axis).nonzero()
        before = max(before, 2 * position - int(seen.min()))
        after = max(after, int(seen.max()) - 2 * position)
    assert (field.before[axis], field.after[axis]) == (before, after)
    enlarged = receptive_field(nn.Sequential(features, doubling(2)), 2)
    assert enlarged.size[axis] == 109  # as the docs say


@pytest.mark.parametrize("channels", [1, 2])
def test_the_classifier_sees_them_with_the_features_of_photographs(channels):
    config = NetworkConfig(width=2, depth=1, in_channels=channels, photo_features=True)
    with_filters = config.model_copy(update={"filter_features": True})
    without = photo_classifier(build_network(config))
    classifier = photo_classifier(build_network(with_filters))
    photographs = sum(number for _, number in PhotoFeatures.sizes)
    assert without.head.weight.shape[1] == photographs
    assert classifier.head.weight.shape[1] == photographs + 512
    image = torch.rand(1, channels, 32, 48)
    pixels = torch.tensor([0, 47, 777, 32 * 48 - 1])
    seen = classifier.seen_at(image, pixels)
    assert torch.equal(seen[..., :photographs], without.seen_at(image, pixels))
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(2, photographs + 512, generator=random)
    classifier.set_weights(weight, torch.zeros(2))
    logits = classifier(image).flatten(2)[0, :, pixels]
    assert torch.allclose(logits.T, seen[0] @ weight.T, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 9])
def test_a_network_is_built_without_the_compiler_of_pytorch(channels):
    build = f"""
import sys

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network

channels = {channels}
config = NetworkConfig(in_channels=channels, photo_features=True, filter_features=True)
compiler = {{"sympy", "torch._dynamo"}}
assert not compiler & set(sys.modules), "it is there anyway"
assert build_network(config).photographs.filters is not None
assert not compiler & set(sys.modules)
"""
    run = [sys.executable, "-c", build]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
