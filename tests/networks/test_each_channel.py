from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_fcn.networks.each_channel import EachChannel
from napari_fcn.networks.receptive_field import receptive_field

KERNELS = np.random.default_rng(0).normal(size=(4, 5, 5)).astype(np.float32)
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=["plain", "channels last"])
def test_it_is_a_convolution_in_groups(number, channels, layout):
    image = torch.randn(number, channels, 12, 15).contiguous(memory_format=layout)
    found = EachChannel(KERNELS).to(memory_format=layout)(image)
    grouped = torch.from_numpy(KERNELS)[:, None].repeat(channels, 1, 1, 1)
    padded = F.pad(image, (2, 2, 2, 2), mode="replicate")
    expected = F.conv2d(padded, grouped, groups=channels)
    assert found.shape == (number, 4 * channels, 12, 15)
    assert torch.allclose(found, expected, atol=1e-4)


def test_it_sees_as_far_as_its_kernels():
    assert receptive_field(torch.nn.Sequential(EachChannel(KERNELS)), 2).size == (5, 5)
