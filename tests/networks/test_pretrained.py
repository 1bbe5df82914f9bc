"""Encoders from a library that need not be there; nothing is downloaded."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.test_cli import refused, run

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.engine.model import load_model
from napari_fcn.errors import UserError
from napari_fcn.networks import (
    NETWORKS,
    build_network,
    count_parameters,
    load_encoder,
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


def resnet(name: str) -> torch.nn.Module:
    """The whole ResNet, with other weights than any that an encoder starts with."""
    import timm

    torch.manual_seed(1)
    network = timm.create_model(name, pretrained=False)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.01, 0.02)
    return network


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

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_weights_from_a_file(self, tmp_path, suffix):
        path = tmp_path / f"weights{suffix}"
        state = resnet("resnet18").state_dict()
        save_file(state, path) if suffix != ".pth" else torch.save(state, path)
        network = build_network(CONFIG.model_copy(update={"in_channels": 3}))
        assert "resnet18 in weights" in load_encoder(network, path)
        mine = network.encoder.state_dict()
        assert len(mine) == len(state) - 2  # but the last layer, for naming images
        assert all(torch.equal(mine[name], state[name]) for name in mine)

    def test_weights_of_another_encoder_are_one_sentence(self, tmp_path):
        torch.save(resnet("resnet34").state_dict(), tmp_path / "w.pth")
        network = build_network(CONFIG.model_copy(update={"encoder": "resnet50"}))
        with pytest.raises(UserError, match="does not hold the weights of resnet50"):
            load_encoder(network, tmp_path / "w.pth")

    def test_on_the_command_line_and_in_python(self, tmp_path, capsys):
        import napari_fcn as fcn

        state = resnet("resnet18").state_dict()
        torch.save(state, tmp_path / "w.pth")
        image = np.random.default_rng(0).random((32, 32), np.float32)
        labels = np.zeros((32, 32), np.uint8)
        labels[4:8], labels[20:24] = 1, 2
        np.save(tmp_path / "image.npy", image)
        np.save(tmp_path / "labels.npy", labels)
        order = (
            "train", tmp_path / "image.npy", "--labels", tmp_path / "labels.npy",
            "--out", tmp_path / "m.safetensors", "--steps", 1,
            "--network", "unet-pretrained", "--setting", "width=2",
        )  # fmt: skip
        with_file = (*order, "--encoder-weights", tmp_path / "w.pth")
        assert run(*with_file) == 0
        assert "weights of resnet18 in w.pth" in capsys.readouterr().err
        refused(capsys, *with_file, "--setting", "encoder=resnet50", match="resnet50")
        config = TrainingConfig(encoder_weights=str(tmp_path / "w.pth"))
        network = CONFIG.model_copy(update={"width": 2})
        model = fcn.train(image, labels, network=network, config=config, steps=1)
        for made in (model, load_model(tmp_path / "m.safetensors")):
            found = made.network.encoder.state_dict()["layer4.1.conv2.weight"]
            # one step moves a weight by no more than the rate of learning
            assert (found - state["layer4.1.conv2.weight"]).abs().max() < 0.01


def test_the_file_on_the_command_line_is_for_such_networks(tmp_path, capsys):
    np.save(tmp_path / "image.npy", np.zeros((8, 8), np.float32))
    labels = np.ones((8, 8), np.uint8)
    labels[:4] = 2
    np.save(tmp_path / "labels.npy", labels)
    order = (
        "train", tmp_path / "image.npy", "--labels", tmp_path / "labels.npy",
        "--out", tmp_path / "m.safetensors", "--steps", 1,
        "--encoder-weights", tmp_path / "w.pth",
    )  # fmt: skip
    refused(capsys, *order, match="Only the network unet-pretrained")
    refused(capsys, *order, "--init", "m.safetensors", match="not allowed with")
    assert not (tmp_path / "m.safetensors").exists()


def test_training_goes_on_without_the_weights(monkeypatch):
    """As where there is no internet; then the encoder starts from nothing."""

    def offline(_: object) -> str:
        raise UserError("The weights could not be downloaded; connect once.")

    monkeypatch.setattr(pretrained, "load_pretrained", offline)
    said = pretrained.start_pretrained(build_network(NetworkConfig(width=1, depth=1)))
    assert said.endswith("For now its encoder starts from nothing.")
