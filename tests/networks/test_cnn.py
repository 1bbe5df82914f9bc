from __future__ import annotations

import pytest

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, count_parameters, receptive_field


def plain(n: int, d: int, **options: object):
    options = {"out_channels": 1, **options}
    return build_network(NetworkConfig(name="cnn", layers=n, width=d, **options))


@pytest.mark.parametrize("d", [1, 8, 20])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_published_parameters_and_receptive_field(n, d):
    network = plain(n, d)
    expected = (9 + 1) * d + (n - 1) * (9 * d + 1) * d + (9 * d + 1)
    assert count_parameters(network) == expected
    assert receptive_field(network).size == (1 + 2 * (n + 1),) * 2
    assert receptive_field(network).stride == (1, 1)


def test_in_3d_each_kernel_has_27_weights():
    network = plain(2, 4, ndim=3, in_channels=3, out_channels=2)
    expected = (3 * 27 + 1) * 4 + (4 * 27 + 1) * 4 + (4 * 27 + 1) * 2
    assert count_parameters(network) == expected


def test_batch_norm_on_request():
    normalised = count_parameters(plain(3, 4, batch_norm=True))
    assert normalised == count_parameters(plain(3, 4)) + 3 * 4
