"""Encoders from a library that need not be there; nothing is downloaded."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import (
    NETWORKS,
    build_network,
    count_parameters,
    load_pretrained,
    pretrained,
    receptive_field,
)

CONFIG = NetworkConfig(name="unet-pretrained", width=2)
missing = importlib.util.find_spec("timm") is None


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install"):
        build_network(CONFIG)


def test_other_networks_have_nothing_to_load():
    assert load_pretrained(build_network(NetworkConfig(width=1, depth=1))) == ""


def test_listed_only_where_it_can_be_built():
    assert ("unet-pretrained" in NETWORKS) != missing


@pytest.mark.skipif(missing, reason="timm is not installed")
class TestWithTimm:
    def test_the_encoder_has_the_published_parameters(self):
        with torch.device("meta"):
            network = build_network(CONFIG.model_copy(update={"in_channels": 3}))
        # ResNet-18 has 11 689 512, of them 1000 * (512 + 1) in its last layer
        assert count_parameters(network.encoder) == 11_689_512 - 513_000

    @pytest.mark.parametrize("encoder", ["resnet18", "resnet34", "resnet50"])
    def test_tiles_and_channels(self, encoder):
        config = CONFIG.model_copy(update={"encoder": encoder, "in_channels": 2})
        with torch.device("meta"):
            network = build_network(config)
            assert network(torch.zeros(1, 2, 64, 32)).shape == (1, 2, 64, 32)
        assert receptive_field(network).stride == (32, 32)

    def test_only_in_2d(self):
        with pytest.raises(UserError, match="2D"):
            build_network(CONFIG.model_copy(update={"ndim": 3}))

    def test_weights_that_cannot_be_had_are_one_sentence(self, monkeypatch, tmp_path):
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(UserError, match="could not be downloaded"):
            load_pretrained(build_network(CONFIG))


def test_training_goes_on_without_the_weights(monkeypatch):
    """As where there is no internet; then the encoder starts from nothing."""

    def offline(_: object) -> str:
        raise UserError("The weights could not be downloaded; connect once.")

    monkeypatch.setattr(pretrained, "load_pretrained", offline)
    said = pretrained.start_pretrained(build_network(NetworkConfig(width=1, depth=1)))
    assert said.endswith("For now its encoder starts from nothing.")
