from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pretraining.__main__ import read, weights_file
from pretraining.episodes import Episode, make_bank, make_episode, to_tensor
from pretraining.geometry import KINDS
from pretraining.learner import learn
from pretraining.prior import head_covariance
from pretraining.scenes import make_image, plan_style
from safetensors.torch import load

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_things_have_parts_and_objects(kind):
    for seed in range(4):
        layer = kind(np.random.default_rng(seed))((64, 64), np.random.default_rng(seed))
        assert layer.parts.shape == layer.objects.shape == (64, 64)
        assert set(np.unique(layer.parts)) <= {0, 1, 2}
        assert layer.parts.any()


def test_the_same_seed_gives_the_same_scene():
    first, second = (make_episode(48, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.truth, second.truth)
    assert np.array_equal(first.strokes, second.strokes)


def test_strokes_are_few_and_right():
    for episode in make_bank(6, 64, 3):
        painted = episode.strokes > 0
        assert 0 < painted.mean() < 0.2
        assert (episode.strokes == episode.truth[0])[painted].all()
        assert set(np.unique(episode.strokes)) - {0} == set(np.unique(episode.truth[0]))


def test_images_of_a_style_differ_but_look_alike():
    random = np.random.default_rng(2)
    style = plan_style(random)
    (one, _), (two, _) = (make_image(style, (64, 64), random) for _ in range(2))
    assert one.shape == (3, 64, 64)
    assert np.isfinite(one).all()
    assert not np.array_equal(one, two)


def test_values_are_stored_within_a_hundredth():
    stored = np.array([[32, 160]], np.uint8)
    assert torch.allclose(to_tensor(stored), torch.tensor([[0.0, 1.0]]))


def test_a_body_learns_and_is_written_without_its_head():
    bank = make_bank(4, 48, 0)
    network = build_network(NetworkConfig(in_channels=3, width=4, depth=1))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    said: list[str] = []
    average = learn(network, bank, bank[:1], 4, 0, said.append)
    assert "Dice same image" in said[-1]
    assert any(not torch.equal(v, before[k]) for k, v in average.state_dict().items())
    with torch.no_grad():  # more than half precision can hold
        average.get_buffer("decoder.0.1.running_var").fill_(1e6)
    content = weights_file(average, torch.eye(4), {"steps": 4})
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["about"]) == {"steps": 4}
    assert not any(name.startswith("head.") for name in load(content))
    assert all(torch.isfinite(tensor).all() for tensor in load(content).values())


class Brightness(torch.nn.Module):
    """Features: brightness, its negative, and two that tell nothing."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Conv2d(4, 2, 1)

    def forward(self, image):
        grey = image.mean(1, keepdim=True)
        noise = torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
        return self.head(torch.cat([grey, -grey, noise, torch.zeros_like(grey)], 1))


def bright(edge, random):
    """A task of which brightness alone tells the classes apart."""
    truth = (random.random((2, edge, edge)) < 0.3).astype(np.uint8) + 1
    grey = 40 + 60 * truth + random.normal(0, 25, truth.shape)
    images = np.repeat(grey.clip(0, 255).astype(np.uint8)[:, None], 3, 1)
    return Episode(images, truth, truth[0])


def test_the_prior_expects_what_tasks_have_in_common():
    random = np.random.default_rng(0)
    tasks = [bright(48, random) for _ in range(4)]
    covariance = head_covariance(Brightness().eval(), tasks, 0)
    assert covariance.dtype == torch.float32
    assert float(covariance.diagonal().mean()) == pytest.approx(1)
    first, second, noise, nothing = covariance.diagonal()
    assert min(first, second) > 2 * max(noise, nothing)
    assert float(nothing) == pytest.approx(0.5, abs=0.01)  # what is added to each
    assert float(covariance[0, 1]) < -0.9


def test_the_prior_goes_with_the_body_and_can_be_made_anew(tmp_path):
    network = build_network(NetworkConfig(in_channels=3))
    covariance = 2 * torch.eye(16)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(weights_file(network, covariance, {"steps": 4}))
    assert torch.equal(load(file.read_bytes())["head_covariance"], covariance)
    again, about = read(file)
    assert about == {"steps": 4}
    assert weights_file(again, covariance, about) == file.read_bytes()
