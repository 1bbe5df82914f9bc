from __future__ import annotations

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, count_parameters, receptive_field


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [(1, 2), (3, 5)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_output_has_the_size_of_the_input(ndim, channels, batch_norm):
    inputs, outputs = channels
    config = NetworkConfig(
        ndim=ndim,
        in_channels=inputs,
        out_channels=outputs,
        width=4,
        depth=2,
        batch_norm=batch_norm,
    )
    shape = (8, 12, 16)[-ndim:]
    result = build_network(config)(torch.zeros(2, inputs, *shape))
    assert result.shape == (2, outputs, *shape)


def test_parameters_by_hand():
    network = build_network(NetworkConfig(width=4, depth=1, batch_norm=False))
    encoder = (2 * 9 + 1) * 4 + (4 * 9 + 1) * 4 + (4 * 9 + 1) * 8 + (8 * 9 + 1) * 8
    decoder = (8 * 4 + 1) * 4 + (8 * 9 + 1) * 4 + (4 * 9 + 1) * 4
    # the transposed convolution has a bias per output channel, not per tap
    decoder += 8 * 4 * 4 + 4 - (8 * 4 + 1) * 4
    assert count_parameters(network) == encoder + decoder + (4 + 1) * 2


@pytest.mark.parametrize("ndim", [2, 3])
def test_equivariant_to_shifts_by_the_stride(ndim):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(ndim=ndim, width=3, depth=2)).eval()
    field = receptive_field(network)
    size = 2 * field.halo[0] + 12
    size += -size % 4
    image = torch.rand((1, 1) + (size,) * ndim)
    shifted = torch.roll(image, 4, dims=-1)
    halo = field.halo[0] + 4
    inner = (...,) + (slice(halo, -halo),) * ndim
    with torch.inference_mode():
        there = torch.roll(network(image), 4, dims=-1)[inner]
        here = network(shifted)[inner]
    assert there.numel() > 0
    assert torch.allclose(there, here, atol=1e-5)


def test_unknown_network_is_one_sentence():
    with pytest.raises(UserError, match="choose one of"):
        build_network(NetworkConfig(name="no-such"))
