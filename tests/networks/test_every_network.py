"""What must hold for every network in the registry, in 2D and 3D."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import (
    ModelConfig,
    NetworkConfig,
    TrainingConfig,
    classes_from_values,
)
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.predict import predict_array
from napari_fcn.engine.trainer import Trainer
from napari_fcn.networks import (
    ARCHITECTURES,
    NETWORKS,
    build_network,
    count_parameters,
    receptive_field,
)

MOVING_STATISTICS = ("running_mean", "running_var")


def random_network(config: NetworkConfig) -> torch.nn.Module:
    """Random in everything that is learned, also in what starts at zero or one."""
    torch.manual_seed(0)
    network = build_network(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("running_mean") or (
            name.startswith("head") and not tensor.any()
        ):
            tensor.uniform_(-0.5, 0.5)
    return network


def model_of(config: NetworkConfig) -> Model:
    classes = classes_from_values([1, 2])
    return Model(ModelConfig(network=config, classes=classes), random_network(config))


@pytest.mark.parametrize("name", NETWORKS)
def test_default_settings(name):
    with torch.device("meta"):
        network = build_network(NetworkConfig(name=name))
    assert count_parameters(network) > 0
    assert min(receptive_field(network).size) >= 19


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_fields_that_make_a_difference(name):
    settings = ARCHITECTURES[name].settings
    assert set(settings) <= set(NetworkConfig.model_fields)


def test_output_has_the_size_of_the_input(config):
    channels = config.model_copy(update={"in_channels": 3, "out_channels": 5})
    network = build_network(channels).eval()
    stride = receptive_field(network, config.ndim).stride
    shape = tuple(s * (2 + axis) for axis, s in enumerate(stride))
    assert network(torch.zeros(1, 3, *shape)).shape == (1, 5, *shape)


@pytest.mark.parametrize(
    ("name", "size"),
    [("cnn", 19), ("fcn-8s", 491), ("patch", 95), ("unet", 103), ("unet-2015", 215)],
)
def test_receptive_field_of_the_default_depth(name, size, seen_by_gradients):
    config = NetworkConfig(name=name, width=1, batch_norm=False)
    field = receptive_field(build_network(config))
    assert field.size == (size, size)
    assert (field.before[0], field.after[0]) == seen_by_gradients(config)


WITH_INDICES = ("segnet", "unet-indices")


def test_receptive_field_is_what_gradients_see(config, seen_by_gradients):
    field = receptive_field(build_network(config), config.ndim)
    computed, seen = (field.before[0], field.after[0]), seen_by_gradients(config)
    if config.name in WITH_INDICES:  # the choice of a maximum has no gradient
        assert all(0 <= c - s <= 2 for c, s in zip(computed, seen, strict=True))
    else:
        assert computed == seen


@pytest.mark.parametrize("name", [*WITH_INDICES, "unet"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_receptive_field_is_what_changes_the_output(name, ndim, seen_by_changes):
    config = NetworkConfig(name=name, ndim=ndim, width=2, depth=1)
    field = receptive_field(build_network(config), ndim)
    assert (field.before[0], field.after[0]) == seen_by_changes(config)


def test_equivariant_to_shifts_by_the_stride(config):
    network = random_network(config).double()
    field = receptive_field(network, config.ndim)
    stride, halo = field.stride[-1], field.halo[-1]
    length = -(-(2 * halo + 4 * stride) // stride) * stride
    image = torch.rand((1, 1, *field.stride[:-1], length), dtype=torch.float64)
    with torch.inference_mode():
        here = network(torch.roll(image, stride, dims=-1))
        there = torch.roll(network(image), stride, dims=-1)
    inner = slice(halo + stride, -halo - stride)
    assert here[..., inner].numel() > 0
    assert here[..., inner].std() > 0
    torch.testing.assert_close(here[..., inner], there[..., inner], atol=0, rtol=1e-9)


def test_not_equivariant_to_other_shifts():
    """So that the test above cannot hold for want of anything to see."""
    network = random_network(NetworkConfig(width=4, depth=2)).double()
    image = torch.rand((1, 1, 8, 96), dtype=torch.float64)
    with torch.inference_mode():
        here = network(torch.roll(image, 1, dims=-1))
        there = torch.roll(network(image), 1, dims=-1)
    assert (here - there)[..., 40:56].abs().max() > 1e-6


def test_tiles_equal_the_whole(config):
    model = model_of(config)
    field = model.receptive_field
    shape = [5 + axis for axis in range(config.ndim - 1)]
    shape.append(2 * field.halo[-1] + 3 * field.stride[-1] + 3)
    image = np.random.default_rng(0).random(shape, np.float32)
    whole = predict_array(model, image, output="probabilities", tile=10_000)
    tile = field.halo[-1] // 2
    tiled = predict_array(model, image, output="probabilities", tile=tile)
    assert whole.std() > 0
    assert np.abs(whole - tiled).max() < 1e-4


def test_a_single_pixel(config):
    image = np.ones((1,) * config.ndim, np.float32)
    found = predict_array(model_of(config), image, output="probabilities")
    assert np.isfinite(found).all()


def squares(ndim: int) -> LabelledImage:
    """A bright square (or cube) on noise, with some of it annotated."""
    shape = (24, 24, 24)[-ndim:]
    labels = np.zeros(shape, np.uint8)
    labels[(slice(4, 8),) * ndim] = 1
    labels[(slice(-8, -4),) * ndim] = 1
    labels[(slice(10, 16),) * ndim] = 2
    image = np.random.default_rng(0).random(shape, np.float32)
    image[(slice(9, 17),) * ndim] += 1
    return LabelledImage(ImageSource(image, Axes.of("ZYX"[-ndim:]), ndim), labels)


def test_trains_saves_and_loads(config, tmp_path):
    training = TrainingConfig(crop=8, batch=2, precision="float32", held_out=0)
    item, classes = squares(config.ndim), classes_from_values([1, 2])
    trainer = Trainer([item], classes, training, config)
    before = {k: v.clone() for k, v in trainer.live_model().network.named_parameters()}
    losses = [trainer.step() for _ in range(2)]
    assert np.isfinite(losses).all()
    model = trainer.live_model()
    after = dict(model.network.named_parameters())
    assert not [name for name in before if torch.equal(before[name], after[name])]
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.config == model.config
    image = item.image.read((), item.image.whole())[0]
    np.testing.assert_allclose(
        predict_array(model, image, output="probabilities"),
        predict_array(again, image, output="probabilities"),
        atol=1e-5,
    )
