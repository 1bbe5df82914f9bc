"""Features learned on photographs, and the classifier of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from pretraining.photographs import BLOCKS, convolutions
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, count_parameters, receptive_field
from napari_fcn.networks.photo_features import (
    PHOTO_SHARE,
    PhotoFeatures,
    photo_classifier,
)

if TYPE_CHECKING:
    from napari_fcn.networks.unet import UNet


def network(**options: object) -> UNet:
    torch.manual_seed(0)
    config = {"width": 2, "depth": 1, "photo_features": True, **options}
    return build_network(NetworkConfig.model_validate(config)).eval()


def give_an_opinion(unet: UNet) -> None:
    classifier = photo_classifier(unet)
    generator = torch.Generator().manual_seed(1)
    classifier.set_weights(
        *(
            torch.randn(p.shape, generator=generator)
            for p in classifier.head.parameters()
        )
    )


def test_each_feature_has_the_size_and_the_channels_that_it_says():
    found = PhotoFeatures(1)(torch.rand(2, 1, 64, 96))
    assert len(found) == len(PhotoFeatures.sizes)
    for features, (level, channels) in zip(found, PhotoFeatures.sizes, strict=True):
        assert features.shape == (2, channels, 64 >> level, 96 >> level)
        assert features.std() > 0.01


def test_they_tell_textures_apart_that_have_the_same_grey():
    random = torch.Generator().manual_seed(0)
    fine = torch.rand(1, 1, 64, 64, generator=random)
    coarse = fine[..., :16, :16].repeat_interleave(4, 2).repeat_interleave(4, 3)
    one, other = (PhotoFeatures(1)(image)[-1] for image in (fine, coarse))
    apart = (one.mean((2, 3)) - other.mean((2, 3))).abs()
    assert (apart > one.std((2, 3))).any()


def test_one_channel_is_grey_and_coordinates_are_not_seen():
    grey = torch.rand(1, 1, 32, 32)
    coordinates = torch.rand(1, 2, 32, 32)
    colour = PhotoFeatures(3)(grey.expand(1, 3, 32, 32))
    alone = PhotoFeatures(1)(grey)
    placed = PhotoFeatures(1, 2)(torch.cat([grey, coordinates], 1))
    for one, two, three in zip(colour, alone, placed, strict=True):
        assert torch.allclose(one, two, atol=1e-4)
        assert torch.allclose(one, three, atol=1e-4)


def test_they_have_a_say_in_what_is_predicted_but_not_in_training():
    unet, image = network(), torch.rand(1, 1, 32, 32)
    give_an_opinion(unet)
    own, photos = unet.learned(image), unet.photographs(image)
    mean = (1 - PHOTO_SHARE) * own + PHOTO_SHARE * photos
    assert torch.allclose(unet(image), mean, atol=1e-5)
    assert not torch.allclose(unet(image), own, atol=1e-2)
    alone = network(photo_features=False, batch_norm=False)
    both = network(batch_norm=False)
    give_an_opinion(both)
    both.load_state_dict(alone.state_dict(), strict=False)
    assert torch.equal(both.train()(image), alone.train()(image))


def test_before_it_is_solved_it_changes_no_class():
    unet, image = network(), torch.rand(1, 1, 32, 32)
    assert torch.equal(unet(image).argmax(1), unet.learned(image).argmax(1))


def test_training_never_changes_them():
    unet = network().train()
    give_an_opinion(unet)
    before = {k: v.clone() for k, v in unet.photographs.state_dict().items()}
    optimiser = torch.optim.AdamW(unet.parameters(), lr=0.1)
    unet(torch.rand(2, 1, 32, 32)).square().mean().backward()
    optimiser.step()
    for name, tensor in unet.photographs.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert count_parameters(unet) == count_parameters(network(photo_features=False))


@pytest.mark.parametrize("options", [{"ndim": 3}, {"photo_features": False}, {}])
def test_there_are_none_in_volumes_or_unless_wanted(options):
    config = NetworkConfig(photo_features=True if "ndim" in options else None)
    found = build_network(config.model_copy(update=options))
    assert photo_classifier(found) is None


@pytest.mark.parametrize("axis", [0, 1])
def test_the_field_is_what_gradients_see(axis):
    classifier = network().photographs.double()
    for module in classifier.modules():  # nothing cancels, and nothing is cut off
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias)
    nn.init.ones_(classifier.head.weight)
    field = receptive_field(classifier, 2)
    assert field.stride == (16, 16)
    shape = [32, 32]
    shape[axis] = 2 * (field.halo[axis] // 16 + 4) * 16
    image = torch.full((1, 1, *shape), 0.51, dtype=torch.float64, requires_grad=True)
    output, centre = classifier(image)[0, 0], shape[axis] // 2
    before = after = 0
    for position in range(centre, centre + 16):
        pixel = output.select(axis, position).sum()
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        seen = gradient[0, 0].sum(1 - axis).nonzero()
        before = max(before, position - int(seen.min()))
        after = max(after, int(seen.max()) - position)
    assert (field.before[axis], field.after[axis]) == (before, after)


def test_what_is_seen_grows_little_against_two_sizes():
    usual = NetworkConfig(scales=2)
    without = receptive_field(build_network(usual))
    both = receptive_field(
        build_network(usual.model_copy(update={"photo_features": True}))
    )
    assert both.stride == without.stride
    assert max(both.halo) < 1.5 * max(without.halo)


def test_batch_norm_becomes_part_of_the_convolutions():
    torch.manual_seed(0)
    learned = {}
    names = [("_conv_stem", "_bn0")]
    for block in range(BLOCKS):
        layers = ["_expand_conv", "_depthwise_conv", "_project_conv"]
        for number, layer in enumerate(layers[block == 0 :], block == 0):
            names.append((f"_blocks.{block}.{layer}", f"_blocks.{block}._bn{number}"))
    for kernel, norm in names:
        learned[f"{kernel}.weight"] = torch.randn(4, 2, 3, 3)
        for part in ("weight", "bias", "running_mean"):
            learned[f"{norm}.{part}"] = torch.randn(4)
        learned[f"{norm}.running_var"] = torch.rand(4) + 0.5
    folded = convolutions(learned)
    assert len(folded) == 2 * len(names)
    image = torch.rand(1, 2, 8, 8)
    for number, (kernel, norm) in enumerate(names):
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (learned[f"{norm}.{part}"] for part in parts)
        features = F.conv2d(image, learned[f"{kernel}.weight"])
        expected = F.batch_norm(features, mean, variance, weight, bias, eps=1e-3)
        weight, bias = (folded[f"{number}.{n}"].float() for n in ("weight", "bias"))
        assert torch.allclose(F.conv2d(image, weight, bias), expected, atol=0.03)


def test_the_shipped_file_has_a_kernel_for_every_convolution():
    features = PhotoFeatures(3)
    kernels = [m for m in features.modules() if isinstance(m, nn.Conv2d)]
    assert len(kernels) == 1 + 2 + 3 * (BLOCKS - 1)
    for kernel in kernels:
        assert torch.isfinite(kernel.weight).all()
        assert kernel.weight.std() > 0
