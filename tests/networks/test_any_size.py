"""Images that do not fit the stride are mirrored at their end, and cut back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import UNet, build_network, receptive_field


@torch.inference_mode()
def test_every_network_takes_any_size(config):
    torch.manual_seed(0)
    network = build_network(config).eval()
    shape = (5, 7, 3)[: config.ndim]
    image = torch.rand(1, 1, *shape)
    found = network(image)
    assert found.shape == (1, 2, *shape)
    stride = receptive_field(network, config.ndim).stride
    pad = [(0, -n % s) for n, s in zip(shape, stride, strict=True)]
    by_hand = np.pad(image.numpy(), [(0, 0), (0, 0), *pad], mode="reflect")
    expected = network(torch.from_numpy(by_hand))
    whole = (..., *(slice(n) for n in shape))
    torch.testing.assert_close(found, expected[whole], atol=1e-6, rtol=1e-5)


def test_gradients_and_every_output_of_deep_supervision():
    network = build_network(NetworkConfig(name="unet-deep", width=2, depth=3))
    image = torch.rand(2, 1, 13, 9, requires_grad=True)
    levels = network(image)
    assert [x.shape for x in levels] == [(2, 2, 13, 9)] * 3
    sum(x.sum() for x in levels).backward()
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_images_smaller_than_the_stride(shape):
    network = UNet(NetworkConfig(width=2, depth=3)).eval()
    assert network(torch.rand(1, 1, *shape)).shape == (1, 2, *shape)
