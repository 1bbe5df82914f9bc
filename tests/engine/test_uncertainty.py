"""How unsure a network is, and where a stroke would teach most."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.uncertainty import Mirrored, most_useful, uncertainty
from napari_fcn.networks import build_network


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_between_sure_and_unsure(classes):
    logits = torch.zeros(classes, 3, 4)
    logits[0, 0] = 50
    logits[1, 1] = 1
    found = uncertainty(logits)
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found[0], 0, atol=1e-6)
    np.testing.assert_allclose(found[2], 1, rtol=1e-6)
    assert ((found[1] > 0.3) & (found[1] < 1)).all()


def test_what_has_no_classes_has_no_uncertainty():
    assert not uncertainty(torch.randn(1, 3, 4)).any()


def test_networks_that_are_sure_of_different_classes_are_unsure_together():
    one, other = torch.zeros(2, 1, 2), torch.zeros(2, 1, 2)
    one[0] = 50
    other[0, 0, 0], other[1, 0, 1] = 50, 50
    np.testing.assert_allclose(uncertainty(one, other), [[0, 1]], atol=1e-6)
    np.testing.assert_array_equal(uncertainty(one, one), uncertainty(one))


def test_a_mirrored_network_answers_as_without_a_mirror():
    network = build_network(NetworkConfig(width=4, depth=1, out_channels=2)).eval()
    mirrored = Mirrored(network)
    assert not mirrored.training
    image = torch.randn(1, 1, 16, 16)
    with torch.inference_mode():
        found, plain = mirrored(image), network(image)
        again = Mirrored(mirrored)(image)
    assert not torch.equal(found, plain)
    torch.testing.assert_close(again, plain)
    # and what is mirrored itself is answered so
    both = (image + image.flip(-1)) / 2
    with torch.inference_mode():
        torch.testing.assert_close(mirrored(both), network(both).flip(-1))


def test_two_classes_are_the_binary_entropy():
    p = 0.2
    logits = torch.tensor([np.log(p), np.log(1 - p)])[:, None]
    expected = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(uncertainty(logits), expected, rtol=1e-5)


def test_an_area_counts_more_than_a_line():
    doubt = np.zeros((64, 64), np.float32)
    doubt[5] = 1
    doubt[40:50, 40:50] = 0.8
    value, place = most_useful(doubt, np.zeros((64, 64), bool), 8)
    assert value == pytest.approx(0.8, rel=0.05)
    assert all(42 <= p <= 47 for p in place)


def test_what_lies_near_strokes_does_not_count():
    doubt = np.zeros((64, 64), np.float32)
    doubt[40:50, 40:50] = 0.8
    doubt[5:15, 5:15] = 0.5
    painted = np.zeros((64, 64), bool)
    painted[38:52:3, 38:52:3] = True
    value, place = most_useful(doubt, painted, 8)
    assert value == pytest.approx(0.5, rel=0.05)
    assert max(place) < 16
    assert most_useful(doubt, np.ones((64, 64), bool), 8)[0] == 0


def test_three_dimensions():
    doubt = np.zeros((8, 32, 32), np.float32)
    doubt[4:8, 20:28, 4:12] = 1
    _, place = most_useful(doubt, np.zeros(doubt.shape, bool), 4)
    assert place[0] >= 4
    assert 20 <= place[1] < 28
