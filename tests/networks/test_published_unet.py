"""The U-Net of 2015: its published sizes, and its mirrored border."""

from __future__ import annotations

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, count_parameters, receptive_field


def network(**options: object):
    options = {"width": 2, **options}
    return build_network(NetworkConfig(name="unet-2015", **options)).eval()


def test_31_million_parameters_from_64_to_1024_channels():
    with torch.device("meta"):
        published = build_network(NetworkConfig(name="unet-2015"))
    total, c_in = 0, 1
    for c in (64, 128, 256, 512, 1024):
        total += (9 * c_in + 1) * c + (9 * c + 1) * c
        c_in = c
    for c in (512, 256, 128, 64):
        total += (4 * 2 * c + 1) * c + (9 * 2 * c + 1) * c + (9 * c + 1) * c
    total += (64 + 1) * 2
    assert count_parameters(published) == total == 31_030_658
    convolutions = [m for m in published.modules() if type(m) is torch.nn.Conv2d]
    up = [m for m in published.modules() if type(m) is torch.nn.ConvTranspose2d]
    assert len(convolutions) + len(up) == 23  # "In total the network has 23 ... layers"


def test_572_pixels_give_388():
    with torch.inference_mode():
        assert network().valid(torch.zeros(1, 1, 572, 572)).shape[2:] == (388, 388)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_the_border_fits_every_depth(depth):
    built = network(depth=depth)
    size = 3 * 2**depth
    padded = built.mirror(torch.zeros(1, 1, size, size))
    with torch.inference_mode():
        valid = built.valid(padded)
    assert built.cut(valid).shape[2:] == (size, size)
    # no more is computed than the poolings require
    assert valid.shape[2] - size < max(2**depth, 1)


def test_in_3d_with_flat_levels():
    built = network(ndim=3, depth=2, flat_levels=1)
    assert receptive_field(built).stride == (2, 4, 4)
    with torch.inference_mode():
        assert built(torch.zeros(1, 1, 2, 8, 4)).shape == (1, 2, 2, 8, 4)


def test_inside_it_is_the_network_on_the_surroundings():
    """A tile cut from a larger image gives what the larger image gives there."""
    torch.manual_seed(0)
    built = network(depth=2).double()
    image = torch.rand(1, 1, 96, 96, dtype=torch.float64)
    margin = built.mirror.margin[0]
    with torch.inference_mode():
        whole = built(image)
        part = built.valid(image[..., 32 - margin : 64 + margin, 0:96])
    assert part.shape[2] == 32
    middle = part.shape[3] // 2
    there = whole[..., 32:64, 48 - 4 : 48 + 4]
    torch.testing.assert_close(part[..., middle - 4 : middle + 4], there)


def test_the_border_is_mirrored():
    torch.manual_seed(0)
    built = network(depth=1).double()
    image = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    margin = built.mirror.margin[0]
    by_hand = torch.nn.functional.pad(image, (margin,) * 4, mode="reflect")
    assert torch.equal(built.mirror(image), by_hand)


def test_an_image_smaller_than_the_margin_is_mirrored_back_and_forth():
    built = network(depth=1)
    assert built.mirror.margin == (8, 8)
    image = torch.arange(3.0).view(1, 1, 1, 3)
    found = built.mirror(image)[0, 0, 0].tolist()
    assert found == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]


def test_weights_start_as_published():
    """Normal with standard deviation sqrt(2 / N), N inputs of each unit."""
    torch.manual_seed(0)
    weight = network(width=64, depth=1).encoder[1][2].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
