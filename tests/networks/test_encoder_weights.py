"""Weights of encoders from files: what is read, what is refused, what fits."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_fcn.config import NetworkConfig
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, load_encoder
from napari_fcn.networks.encoder_weights import read_weights, start_encoder


class Encoder(nn.Module):
    """Two layers with the names that a ResNet has."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 7, bias=False)
        self.bn1 = nn.BatchNorm2d(4)


@pytest.fixture
def learned():
    torch.manual_seed(0)
    encoder = Encoder(3)
    encoder.bn1.running_mean.uniform_()
    return encoder.state_dict()


def same(encoder: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    mine = encoder.state_dict()
    return all(torch.equal(mine[name], weights[name]) for name in weights)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_both_kinds_of_files(learned, tmp_path, suffix, wrap):
    path = tmp_path / f"encoder{suffix}"
    more = {**learned, "fc.weight": torch.zeros(1000, 4)}
    if wrap:
        more = {f"encoder.{name}": tensor for name, tensor in more.items()}
    if suffix == ".safetensors":
        save_file(more, path)
    else:
        torch.save({"epoch": 3, "state_dict": more} if wrap else more, path)
    encoder = Encoder(3)
    assert start_encoder(encoder, read_weights(path), 3) == 0
    assert same(encoder, learned)


@pytest.mark.parametrize(("channels", "others"), [(1, 0), (2, 0), (3, 2), (1, 2)])
def test_a_grey_image_is_grey_in_any_channels_and_coordinates_count_not_at_first(
    learned, channels, others
):
    encoder = Encoder(channels + others)
    assert start_encoder(encoder, learned, channels) == 0
    colour, mine = Encoder(3), encoder
    colour.load_state_dict(learned)
    image = torch.rand(1, 1, 9, 9)
    rest = torch.rand(1, others, 9, 9)
    given = torch.cat([image.expand(-1, channels, -1, -1), rest], 1)
    expected = colour.conv1(image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(mine.conv1(given), expected)


def test_old_files_without_counters(learned):
    del learned["bn1.num_batches_tracked"]
    encoder = Encoder(3)
    assert start_encoder(encoder, learned, 3) == 0
    assert same(encoder, learned)


@pytest.mark.parametrize("fault", ["missing", "size", "not finite"])
def test_what_does_not_fit_changes_nothing(learned, fault):
    if fault == "missing":
        del learned["bn1.weight"]
    elif fault == "size":
        learned["bn1.weight"] = torch.ones(5)
    else:
        learned["bn1.weight"] = torch.full((4,), torch.nan)
    encoder = Encoder(3)
    before = copy.deepcopy(encoder.state_dict())
    assert start_encoder(encoder, learned, 3) == 1
    assert same(encoder, before)


class Harmful:
    def __reduce__(self):
        return (open, ("touched", "w"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", b""),
        ("a.pth", b"hello"),
        ("a.safetensors", b"hello"),
        ("a.pth", pickle.dumps({"conv1.weight": Harmful()})),
        ("a.pth", pickle.dumps([1, 2])),
        ("a.pth", pickle.dumps({"epoch": 1})),
    ],
)
def test_other_files_are_one_sentence_and_run_no_code(
    tmp_path, monkeypatch, name, content
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match="holds no weights that can be read"):
        read_weights(path)
    assert not (tmp_path / "touched").exists()


def test_a_harmful_file_of_torch_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Harmful()}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="holds no weights"):
        read_weights(tmp_path / "a.pth")
    assert not (tmp_path / "touched").exists()


def test_a_missing_file_and_a_network_without_encoder():
    with pytest.raises(UserError, match="no file with weights at nowhere"):
        read_weights("nowhere.pth")
    network = build_network(NetworkConfig(width=1, depth=1))
    with pytest.raises(UserError, match="Only the network unet-pretrained"):
        load_encoder(network, "nowhere.pth")
