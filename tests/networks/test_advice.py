from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import (
    advise,
    build_network,
    depth_for,
    object_extents,
    receptive_field,
)


def test_extents_by_hand():
    labels = np.zeros((2, 30, 30), np.uint8)
    labels[0, 2:5, 3:10] = 2
    labels[1, 10:15, 0:20] = 3
    labels[1, 15:17, 20:24] = 3  # touches at a corner only: another object
    labels[1, 20:, :] = 1
    assert object_extents(labels, 2) == (5, 20)
    assert object_extents(labels[:1], 2) == (3, 7)
    assert object_extents(labels, 3) == (1, 5, 20)
    assert object_extents(labels[1], 2, background=[0]) == (10, 30)


def test_extents_of_many_are_those_of_the_largest_tenth():
    labels = np.zeros((100, 40), int)
    for row, width in enumerate([3] * 47 + [9, 10, 30]):
        labels[2 * row, :width] = 2
    # the largest tenth of 50 are 3, 3, 9, 10 and 30
    assert object_extents(labels, 2) == (1, 9)


def test_no_objects():
    assert object_extents(np.ones((5, 5), int), 2) == (0, 0)
    assert advise(NetworkConfig(), (0, 0)) == ""


@pytest.mark.parametrize("extent", [40, 104, 300])
def test_depth_is_enough_and_not_more(extent):
    config = NetworkConfig(depth=1)
    deeper = depth_for(config, (extent, 10))
    assert receptive_field(build_network(deeper)).size[0] >= extent
    shallower = deeper.model_copy(update={"depth": deeper.depth - 1})
    assert receptive_field(build_network(shallower)).size[0] < extent
    assert deeper.model_copy(update={"depth": 1}) == config


def test_advice_in_words():
    assert advise(NetworkConfig(depth=3), (103, 20)) == ""
    text = advise(NetworkConfig(depth=3), (104, 20))
    assert text == (
        "The painted objects are up to 104 × 20 pixels large, but what the network "
        "learns sees "
        "only 103 × 103 pixels around each pixel; choose depth 4, which sees 215 × "
        "215 pixels, or scale the image down."
    )
    assert "layers 20" in advise(NetworkConfig(name="cnn"), (43, 2))


def test_flat_levels_see_less_along_z():
    config = NetworkConfig(ndim=3, depth=2, flat_levels=1)
    assert "choose depth" in advise(config, (40, 4, 4))
    assert advise(config, (4, 40, 40)) == ""


def test_too_large_for_any():
    huge = (10**6, 10**6)
    config = NetworkConfig(depth=7)
    assert depth_for(config, huge) is None
    assert advise(config, huge).endswith("scale the image down.")
