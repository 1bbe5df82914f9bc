"""Everything that can be chosen is described, and everything described exists."""

from __future__ import annotations

import pytest

from napari_fcn.config import NetworkConfig
from napari_fcn.config.catalogue import LOSS_WORDS, NETWORK_WORDS
from napari_fcn.config.network import PRESETS
from napari_fcn.engine.losses import LOSSES, build_loss
from napari_fcn.networks import ARCHITECTURES


def test_every_network_is_described():
    assert set(ARCHITECTURES) <= set(NETWORK_WORDS)
    assert set(PRESETS) <= set(NETWORK_WORDS)
    for words in NETWORK_WORDS.values():
        assert words.about.endswith(".")
        assert words.source
        assert set(words.settings) <= set(NetworkConfig.model_fields)


@pytest.mark.parametrize("name", LOSS_WORDS)
def test_every_loss_that_is_offered_can_be_built(name):
    assert build_loss(name).terms
    assert LOSS_WORDS[name].about.endswith(".")


def test_every_loss_is_offered():
    offered = {t.split("*")[-1] for name in LOSS_WORDS for t in name.split("+")}
    assert offered == set(LOSSES)
