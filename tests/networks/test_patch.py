"""The patch classifier and the network that it becomes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.losses import IGNORE
from napari_fcn.errors import UserError
from napari_fcn.networks import (
    PatchClassifier,
    build_network,
    count_parameters,
    receptive_field,
    to_dense,
)
from napari_fcn.networks.borders import Mirror
from napari_fcn.networks.patch import window_size


def classifier(ndim: int = 2, **options: object) -> PatchClassifier:
    torch.manual_seed(0)
    options = {"width": 4, "depth": 2, **options}
    network = PatchClassifier(NetworkConfig(name="patch", ndim=ndim, **options))
    for name, tensor in network.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return network.eval()


def slide(network: PatchClassifier, image: torch.Tensor) -> torch.Tensor:
    """Logits (N, K, ...) from one window after the other."""
    ndim, edge = image.ndim - 2, window_size(network.config.depth)
    windows = Mirror((edge // 2,) * ndim)(image)
    for axis in range(2, image.ndim):
        windows = windows.unfold(axis, edge, 1)
    windows = windows.movedim(1, ndim + 1)  # (N, ..., C, window, ...)
    logits = network(windows.reshape(-1, image.shape[1], *[edge] * ndim))
    return logits.view(len(image), *image.shape[2:], -1).movedim(-1, 1)


def test_published_network_n4():
    network = PatchClassifier(NetworkConfig(name="patch"))
    # 48 maps of 4x4, 5x5, 4x4 and 4x4, then 48 x 3 x 3 -> 200 -> 2 units
    maps = 48 * (16 + 1) + 48 * (48 * 25 + 1) + 2 * 48 * (48 * 16 + 1)
    assert count_parameters(network) == maps + 200 * (48 * 9 + 1) + 2 * (200 + 1)
    assert window_size(4) == 95
    assert network(torch.zeros(2, 1, 95, 95)).shape == (2, 2)


def test_the_converted_network_has_the_window_as_receptive_field():
    dense = build_network(NetworkConfig(name="patch"))
    field = receptive_field(dense)
    assert field.before == field.after == (47, 47)
    assert field.stride == (1, 1)
    assert count_parameters(dense) == count_parameters(PatchClassifier(dense.config))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("depth", "shape"), [(1, (9, 7)), (2, (6, 5)), (3, (3, 4))])
def test_one_pass_equals_sliding_the_window(depth, shape, batch_norm):
    network = classifier(depth=depth, in_channels=2, batch_norm=batch_norm)
    image = torch.rand(2, 2, *shape)
    with torch.inference_mode():
        expected = slide(network, image)
        found = to_dense(network)(image)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_one_pass_equals_sliding_the_window_in_3d():
    network = classifier(3, depth=1)
    image = torch.rand(1, 1, 4, 5, 3)
    with torch.inference_mode():
        expected = slide(network, image)
        found = to_dense(network)(image)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_training_on_a_crop_is_training_on_the_windows_around_its_strokes():
    network = classifier()
    dense = to_dense(network)
    image = torch.rand(1, 1, 12, 10)
    target = torch.full((1, 12, 10), IGNORE)
    target[0, 3, 2:8] = 1
    target[0, 9, 5:] = 0
    cross_entropy(dense(image), target, ignore_index=IGNORE).backward()
    chosen = target[0] != IGNORE
    logits = slide(network, image)[0][:, chosen].T
    cross_entropy(logits, target[0][chosen]).backward()
    for there, here in zip(network.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(here.grad, there.grad.view_as(here.grad))


def test_a_window_can_hang_over_an_image_smaller_than_itself():
    dense = to_dense(classifier(depth=3))
    assert dense(torch.rand(1, 1, 2, 1)).shape == (1, 2, 2, 1)


def test_the_mode_is_kept():
    assert not to_dense(classifier()).training
    assert to_dense(classifier().train()).training


def test_unknown_names_do_not_hide_behind_it():
    with pytest.raises(UserError, match="choose one of"):
        build_network(NetworkConfig(name="patches"))
