from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from napari_fcn.config import (
    AugmentationConfig,
    NetworkConfig,
    TrainingConfig,
    classes_from_values,
    usual_network,
)
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine import solved_head
from napari_fcn.engine import trainer as trainer_module
from napari_fcn.engine.shipped import SHIPPED, head_covariance, start_from_shipped
from napari_fcn.engine.solved_head import body_features, body_features_at
from napari_fcn.engine.tasks import segmentation
from napari_fcn.engine.tasks.base import Look
from napari_fcn.engine.teacher import TRUST
from napari_fcn.engine.train import Budget, train
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network

CLASSES = classes_from_values([1, 2])
CONFIG = TrainingConfig(device="cpu", precision="float32")
SAME_LIGHT = CONFIG.model_copy(
    update={"augmentation": AugmentationConfig(brightness=0, contrast=0)}
)


def painted():
    """Noisy bright discs on a dark ground; two strokes, one on each class."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    truth = np.hypot((y % 32) - 16, (x % 32) - 16) < 9
    image = truth + random.normal(0, 0.25, truth.shape)
    labels = np.zeros(truth.shape, np.uint8)
    labels[47:50, 44:52] = 2
    labels[62:66, 40:60] = 1
    source = ImageSource(image.astype(np.float32), Axes.of("YX"), 2, "discs")
    return LabelledImage(source, labels), truth


def dice(found, truth):
    return 2 * ((found > 0) & truth).sum() / ((found > 0).sum() + truth.sum())


def test_every_shipped_weight_is_a_number():
    network = build_network(NetworkConfig())
    assert start_from_shipped(network)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_there_is_a_prior_for_the_last_layer_of_the_shipped_body():
    network = build_network(NetworkConfig())
    features = body_features(network, torch.zeros(1, 1, 16, 16)).shape[1]
    covariance = head_covariance()
    assert covariance.shape == (features, features)
    assert torch.equal(covariance, covariance.T)
    assert float(torch.linalg.eigvalsh(covariance).min()) > 0.1
    assert float(covariance.diagonal().mean()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_grey_image_gives_the_same_features_in_any_number_of_channels(channels):
    grey = torch.rand(1, 1, 32, 32)
    one = build_network(NetworkConfig()).eval()
    more = build_network(NetworkConfig(in_channels=channels)).eval()
    assert start_from_shipped(one)
    assert start_from_shipped(more)
    expected = body_features(one, grey)
    found = body_features(more, grey.expand(-1, channels, -1, -1))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_add_up_to_a_constant_are_told_apart(channels):
    """As when one kind of cells is stained in red and another one in green."""
    item, truth = painted()
    grey = item.image.data
    stained = np.stack([grey, 1 - grey] * (channels // 2))
    source = ImageSource(stained, Axes.of("CYX"), 2, "stained")
    trainer = Trainer(
        [LabelledImage(source, item.labels)], CLASSES, CONFIG, NetworkConfig()
    )
    found = trainer.live_model().predict(stained)
    assert dice(found == 2, truth) > 0.8


def test_in_3d_equal_sections_give_the_features_of_one():
    flat = build_network(NetworkConfig()).eval()
    deep = build_network(NetworkConfig(ndim=3)).eval()
    assert start_from_shipped(flat)
    assert start_from_shipped(deep)
    image = torch.rand(1, 1, 32, 32)
    expected = body_features(flat, image)
    found = body_features(deep, image.unsqueeze(2).expand(-1, -1, 16, -1, -1))
    assert torch.allclose(found[:, :, 7], expected, atol=1e-4)


@pytest.mark.parametrize(
    "network",
    [
        NetworkConfig(width=8),
        NetworkConfig(depth=2),
        NetworkConfig(depth=4),
        NetworkConfig(name="cnn"),
        NetworkConfig(name="unet-residual"),
        NetworkConfig(name="segnet"),
        NetworkConfig(batch_norm=False),
    ],
)
def test_networks_of_another_form_are_left_as_they_are(network):
    fresh = build_network(network)
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    assert not start_from_shipped(fresh)
    assert all(torch.equal(v, before[k]) for k, v in fresh.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        {"ndim": 3, "flat_levels": 1},
        {"in_channels": 3, "out_channels": 5},
        {"coordinates": True},
        {"layers": 4, "encoder": "resnet34"},
        {"width": 8},
        {"depth": 2},
        {"batch_norm": False},
        {"residual": True},
        {"deep_supervision": True},
        {"down": "stride"},
        {"up": "nearest"},
        {"up": "indices"},
        {"skips": False},
    ],
    ids=str,
)
def test_the_sizes_are_two_just_where_the_weights_fit(options):
    network = NetworkConfig(**options)
    fit = start_from_shipped(build_network(network))
    found = usual_network(network, "segmentation", TrainingConfig())
    assert found.scales == (2 if fit else 1)


def test_two_strokes_are_enough_before_the_first_step():
    item, truth = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    found = trainer.live_model().predict(item.image.read((), item.image.whole())[0])
    overlap = (
        2
        * (found.astype(bool) & truth).sum()
        / (found.astype(bool).sum() + truth.sum())
    )
    assert overlap > 0.8
    assert trainer.live_model().config.training["start"] == SHIPPED


def test_the_image_is_seen_in_two_sizes_unless_said():
    item, _ = painted()

    def scales(network: NetworkConfig, config: TrainingConfig = CONFIG, **earlier):
        trainer = Trainer([item], CLASSES, config, network, **earlier)
        return trainer.live_model(), trainer.live_model().config.network.scales

    two, number = scales(NetworkConfig())
    assert number == 2
    assert two.network.head.weight.shape[1] == 32
    one, number = scales(NetworkConfig(scales=1))
    assert number == 1
    random = CONFIG.model_copy(update={"shipped": False})
    assert scales(NetworkConfig(), random)[1] == 1
    again, number = scales(NetworkConfig(), init=one)  # of an earlier version
    assert number == 1
    assert torch.equal(again.network.head.weight, one.network.head.weight)


@pytest.mark.parametrize(("edge", "batch"), [(128, 1), (2, None)])
def test_the_smallest_crops_and_images_are_learned_from(edge, batch):
    """On the coarsest level a crop of 16 pixels is one pixel."""
    random = np.random.default_rng(0)
    image = random.random((edge, edge), np.float32)
    labels = np.zeros((edge, edge), np.uint8)
    labels.flat[:3] = 1, 2, 1
    item = LabelledImage(ImageSource(image, Axes.of("YX"), 2, "small"), labels)
    config = CONFIG.model_copy(update={"crop": 16, "batch": batch})
    trainer = Trainer([item], CLASSES, config, NetworkConfig())
    assert np.isfinite(trainer.step())


def test_memory_may_run_out_down_to_the_smallest_crop(monkeypatch):
    item, _ = painted()
    config = CONFIG.model_copy(update={"batch": 3})
    trainer = Trainer([item], CLASSES, config, NetworkConfig())
    step = trainer._step

    def fail_when_large(progress):
        if trainer._batch * trainer._crop[0] ** 2 > 512:
            raise torch.OutOfMemoryError("out of memory")
        return step(progress)

    monkeypatch.setattr(trainer, "_step", fail_when_large)
    assert np.isfinite(trainer.step())
    assert (trainer._batch, trainer._crop) == (2, (16, 16))


def test_memory_may_run_out_at_the_start(monkeypatch):
    item, truth = painted()
    features = segmentation.Segmentation.painted_features

    def fail_when_large(self, see, crop, augment, look):
        if max(crop) > 32:
            raise torch.OutOfMemoryError("out of memory")
        return features(self, see, crop, augment, look)

    monkeypatch.setattr(segmentation.Segmentation, "painted_features", fail_when_large)
    said: list[str] = []
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig(), on_message=said.append)
    assert "Memory ran out; going on with crops of 32 pixels." in said
    assert not any("per step" in text for text in said)
    assert trainer._crop == (32, 32)
    assert same(head_of(trainer._network), head_of(trainer._average))
    image = item.image.read((), item.image.whole())[0]
    assert dice(trainer.live_model().predict(image), truth) > 0.8
    assert np.isfinite(trainer.step())


def test_memory_that_never_suffices_is_told_at_the_start(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(segmentation.Segmentation, "painted_features", fail)
    with pytest.raises(UserError, match="not enough memory"):
        Trainer([painted()[0]], CLASSES, CONFIG, NetworkConfig())


def test_a_new_optimiser_warms_up_again():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    for _ in range(3):
        trainer.step()
    rates = [group["lr"] for group in trainer._optimiser.param_groups]
    trainer._place(trainer._network)
    trainer.step()
    [rate] = {group["lr"] for group in trainer._optimiser.param_groups}
    assert 0 < rate < 0.5 * rates[0]


def rate_of(trainer):
    trainer.step()
    [rate] = {group["lr"] for group in trainer._optimiser.param_groups}
    return rate


@pytest.mark.parametrize("step", [400, 40_000])
def test_the_rate_settles_after_few_strokes_until_there_are_new_ones(step):
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step_number = step
    assert rate_of(trainer) == 0.02 * CONFIG.learning_rate
    item.labels[80:82, 40:60] = 1
    trainer.refresh({0: None})
    assert rate_of(trainer) == CONFIG.learning_rate


def test_one_is_told_once_that_waiting_does_not_help():
    item, _ = painted()
    said: list[str] = []
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig(), on_message=said.append)
    for step in (0, 400, 401):
        trainer.step_number = step
        trainer.step()
        assert sum("is learned" in text for text in said) == (step > 0)


def test_where_much_is_annotated_the_rate_settles_later():
    item, truth = painted()
    item.labels[:] = 1 + truth
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step_number = 100
    assert rate_of(trainer) > 0.75 * CONFIG.learning_rate


def test_with_a_budget_the_rate_is_that_of_the_budget():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step_number = 400
    trainer.step(0.0)
    [rate] = {group["lr"] for group in trainer._optimiser.param_groups}
    assert rate == CONFIG.learning_rate


def test_a_network_that_knew_nothing_learns_on():
    item, _ = painted()
    config = CONFIG.model_copy(update={"shipped": False})
    trainer = Trainer([item], CLASSES, config, NetworkConfig())
    trainer.step_number = 400
    assert rate_of(trainer) > 0.5 * CONFIG.learning_rate
    assert not trainer._shares.known


def test_shares_are_held_to_what_they_are_when_there_are_new_strokes():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step()
    assert trainer._shares.known
    trainer.refresh({0: None})
    assert trainer._shares.known
    item.labels[80:82, 40:60] = 1
    trainer.refresh({0: None})
    assert not trainer._shares.known


def test_strokes_for_testing_only_change_nothing_in_learning():
    item, _ = painted()
    box = (slice(96, 128), slice(0, 128))
    secret = LabelledImage(item.image, item.labels, testing=(box,))
    trainer = Trainer([secret], CLASSES, CONFIG, NetworkConfig())
    trainer.step_number = 400
    trainer.step()
    item.labels[100:104, 40:60] = 1
    trainer.refresh({0: None})
    assert trainer._shares.known
    assert rate_of(trainer) == 0.02 * CONFIG.learning_rate


def test_what_holds_shares_is_learned_from(monkeypatch):
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    monkeypatch.setattr(
        trainer._shares, "loss", lambda average, seen, *_: seen[1].square().sum() + 1e6
    )
    assert trainer.step() > 1e6


def test_a_model_from_elsewhere_does_not_say_how_much_of_a_class_there_is():
    item, _ = painted()
    model = Trainer([item], CLASSES, CONFIG, NetworkConfig()).best_model()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig(), init=model)
    trainer.step()
    assert not trainer._shares.known


def test_shares_are_held_on_the_device_that_training_goes_on_with():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step()
    trainer._fall_back(trainer._network)
    assert not trainer._shares.known
    assert np.isfinite(trainer.step())


def test_learning_does_not_forget_what_was_known():
    item, truth = painted()
    model = train(
        [item], CLASSES, config=CONFIG, network=NetworkConfig(), budget=Budget(steps=12)
    )
    found = model.predict(item.image.read((), item.image.whole())[0])
    assert dice(found, truth) > 0.8
    assert model.config.training["start"] == SHIPPED


def test_a_run_that_goes_on_keeps_to_what_was_known():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    trainer.step()
    resumed = Trainer(
        [item], CLASSES, CONFIG, NetworkConfig(), resume=trainer.checkpoint(1.0)
    )
    assert resumed.start == SHIPPED
    assert resumed.step_number == 1
    assert np.isfinite(resumed.step())


def test_a_class_painted_later_is_known_before_the_next_step():
    item, truth = painted()
    model = train(
        [item], CLASSES, config=CONFIG, network=NetworkConfig(), budget=Budget(steps=1)
    )
    labels = np.array(item.labels)
    labels[62:66, 40:60] = 3  # what was background is a class of its own
    later = LabelledImage(item.image, labels)
    classes = classes_from_values([2, 3])
    trainer = Trainer([later], classes, CONFIG, NetworkConfig(), init=model)
    found = trainer.live_model().predict(item.image.read((), item.image.whole())[0])
    assert ((found == 3) == ~truth).mean() > 0.8


def test_a_class_that_is_only_there_for_testing_is_not_chosen_nor_in_the_way():
    item, truth = painted()
    labels = np.array(item.labels)
    labels[100:110, 100:110] = 3
    box = (slice(96, 128), slice(96, 128))
    secret = LabelledImage(item.image, labels, testing=(box,))
    classes = classes_from_values([1, 2, 3, 4])  # nobody painted the last one
    trainer = Trainer([secret], classes, CONFIG, NetworkConfig())
    found = trainer.live_model().predict(item.image.read((), item.image.whole())[0])
    assert dice(found, truth) > 0.8
    assert set(np.unique(found).tolist()) == {0, 2}
    assert np.isfinite(trainer.step())


def test_the_average_covers_the_steps_since_one_painted_the_fewer_is_painted(
    monkeypatch,
):
    asked: list[float] = []

    def note(_, since):
        asked.append(since)
        return 0.1

    monkeypatch.setattr(trainer_module, "averaging_rate", note)
    item, truth = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    for _ in range(3):
        trainer.step()
    item.labels[80:82, 40:60] = 1
    trainer.refresh({0: None})
    trainer.step()
    assert asked == [0, 1, 2, 0]
    asked.clear()
    full = LabelledImage(item.image, truth.astype(np.uint8) + 1)
    trainer = Trainer([full], CLASSES, CONFIG, NetworkConfig())
    for _ in range(2):
        trainer.step()
    learned = sum(trainer.annotations.class_pixels(testing=False))
    assert asked == [0, pytest.approx(TRUST / learned)]


def test_without_shipped_weights_a_network_starts_from_nothing():
    item, _ = painted()
    config = CONFIG.model_copy(update={"shipped": False})
    trainer = Trainer([item], CLASSES, config, NetworkConfig())
    assert trainer.start == ""
    assert "start" not in trainer.live_model().config.training


def head_of(network):
    return {k: v.clone() for k, v in network.get_submodule("head").state_dict().items()}


def same(one, other):
    return all(torch.equal(one[k], other[k]) for k in one)


def test_the_last_layer_is_solved_with_the_prior_of_the_shipped_body():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    network = trainer._average
    augment = trainer._augment
    augment.generator.manual_seed(trainer._seed)  # for the same lights again
    see = partial(body_features_at, network)
    painted_pixels = trainer.task.painted_features(
        see, (128, 128), augment, Look(lights=3)
    )
    weight, bias = solved_head.head_of(network)
    expected = solved_head.solve_head(*painted_pixels, 2, head_covariance())
    without = solved_head.solve_head(*painted_pixels, 2, torch.eye(16))
    assert torch.allclose(weight, expected[0], atol=1e-3)
    assert torch.allclose(bias, expected[1], atol=1e-3)
    assert not torch.allclose(weight, without[0], atol=1e-2)


@pytest.mark.parametrize(
    ("channels", "config", "lights"),
    [(3, CONFIG, 3), (1, CONFIG, 1), (3, SAME_LIGHT, 1)],
)
def test_several_channels_are_seen_in_other_lights_too(channels, config, lights):
    item, _ = painted()
    stained = np.stack([item.image.data] * channels)
    source = ImageSource(stained, Axes.of("CYX"), 2, "stained")
    stack = LabelledImage(source, item.labels)
    trainer = Trainer([stack], CLASSES, config, NetworkConfig())
    network = build_network(trainer.model_config.network).eval()
    start_from_shipped(network)
    (as_it_is, *others), classes = trainer.task.painted_features(
        partial(body_features_at, network), (128, 128), trainer._augment, Look(lights=3)
    )
    assert len(as_it_is) == len(classes) == (item.labels > 0).sum()
    assert len(others) == lights - 1
    assert all((other - as_it_is).abs().max() > 0.1 for other in others)


def test_the_last_layer_of_a_stained_volume_is_solved_from_some_of_it():
    random = np.random.default_rng(0)
    truth = np.zeros((12, 48, 48), np.uint8)
    truth[:, 16:32, 16:32] = 1
    stained = np.stack([truth, 1 - truth]) + random.normal(0, 0.2, (2, *truth.shape))
    axes = Axes.of("CZYX")
    source = ImageSource(stained.astype(np.float32), axes, 3, "stained")
    item = LabelledImage(source, truth + 1)
    config = CONFIG.model_copy(update={"held_out": 0})
    trainer = Trainer([item], CLASSES, config, NetworkConfig(ndim=3))
    features, classes = trainer.task.painted_features(
        partial(body_features_at, trainer._average),
        trainer._crop,
        trainer._augment,
        Look(lights=3, pixels=600),
    )
    assert features.shape[:2] == (3, len(classes))
    assert 0 < (classes == 0).sum() < (truth == 0).sum() / 2
    assert (classes == 1).sum() == truth.sum()
    found = trainer.live_model().predict(stained.astype(np.float32), axes="CZYX")
    assert dice(found == 2, truth > 0) > 0.9


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_coordinates_count_for_nothing_at_first(channels):
    network = build_network(NetworkConfig(in_channels=channels, coordinates=True))
    without = build_network(NetworkConfig(in_channels=channels))
    assert start_from_shipped(network)
    assert start_from_shipped(without)
    image, places = torch.rand(1, channels, 32, 32), torch.rand(1, 2, 32, 32)
    expected = body_features(without.eval(), image)
    found = body_features(network.eval(), torch.cat([image, places], 1))
    assert torch.allclose(found, expected, atol=1e-4)


def test_much_more_of_each_class_is_known_before_the_next_step():
    item, truth = painted()
    proper = np.array(item.labels)
    item.labels[...] = np.where(proper > 0, 3 - proper, 0)  # by mistake, the other way
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    for _ in range(3):
        trainer.step()
    item.labels[...] = proper
    for row in (15, 47, 79, 111):
        item.labels[row : row + 3, 76:84] = 2
        item.labels[row + 15 : row + 17, 40:60] = 1
    trainer.refresh({0: None})
    assert same(head_of(trainer._average), head_of(trainer.current_network))
    found = trainer.live_model().predict(item.image.read((), item.image.whole())[0])
    assert dice(found, truth) > 0.8
    assert np.isfinite(trainer.step())


def test_more_of_one_class_that_says_nothing_new_is_learned_step_by_step():
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    before = head_of(trainer._average)
    item.labels[94:98, 40:60] = 1
    trainer.refresh({0: None})
    assert same(before, head_of(trainer._average))


@pytest.mark.parametrize(("photographs", "right"), [(False, 0.8), (True, 0.75)])
def test_a_stroke_that_contradicts_the_network_is_known_before_the_next_step(
    photographs, right
):
    item, truth = painted()
    dirt = (np.arange(128) - 2) % 32 < 5
    item.image.data[dirt] += 2  # brighter than the discs, but background
    trainer = Trainer(
        [item], CLASSES, CONFIG, NetworkConfig(photo_features=photographs)
    )
    image = item.image.read((), item.image.whole())[0]
    assert (trainer.live_model().predict(image)[dirt] == 2).mean() > 0.5
    item.labels[67:70, 70:90] = 1
    trainer.refresh({0: None})
    assert same(head_of(trainer._average), head_of(trainer.current_network))
    found = trainer.live_model().predict(image)
    assert (found[dirt] == 2).mean() < 0.2
    assert dice(found == 2, truth) > right
    assert np.isfinite(trainer.step())


def test_a_contradiction_that_no_last_layer_solves_changes_nothing():
    item, _ = painted()
    item.image.data[...] = 0  # nothing tells the classes apart
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    before = head_of(trainer._average)
    item.labels[94:98, 40:60] = 1
    trainer.refresh({0: None})
    assert same(before, head_of(trainer._average))


def test_a_solution_is_tried_only_when_enough_has_changed(monkeypatch):
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig(photo_features=False))
    tried, real = [], trainer.task.painted_features

    def count(*given):
        tried.append(1)
        return real(*given)

    monkeypatch.setattr(trainer.task, "painted_features", count)
    trainer.refresh({0: None})
    item.labels[62, 60:64] = 1  # four pixels more than 104
    trainer.refresh({0: None})
    assert not tried
    item.labels[62, 64:72] = 1
    trainer.refresh({0: None})
    assert len(tried) == 1
    item.labels[62:66, 52:72] = 0  # erasing changes what is painted, too
    trainer.refresh({0: None})
    assert len(tried) == 2


def test_strokes_on_several_images_are_tried_once(monkeypatch):
    items = [painted()[0], painted()[0]]
    trainer = Trainer(items, CLASSES, CONFIG, NetworkConfig(photo_features=False))
    tried, real = [], trainer.task.painted_features

    def keep(*given):
        tried.append(real(*given))
        return tried[-1]

    monkeypatch.setattr(trainer.task, "painted_features", keep)
    for item in items:
        item.labels[94:98, 40:60] = 1
    trainer.refresh({0: None, 1: [()]})
    ((_, classes),) = tried
    assert int((classes == 0).sum()) == sum((i.labels == 1).sum() for i in items)


def add_bright_border(item):
    item.image.data[:, 96:] = 2 + 0.25 * item.image.data[:, 96:]


def after_the_first_stroke_of_the_border(item):
    """A trainer to which the border was no class until it had its first stroke."""
    trainer = Trainer([item], classes_from_values([1, 2, 3]), CONFIG, NetworkConfig())
    image = item.image.read((), item.image.whole())[0]
    assert not (trainer.live_model().predict(image) == 3).any()
    item.labels[10:14, 104:120] = 3
    trainer.refresh({0: None})
    found = trainer.live_model().predict(image)
    assert (found[:, 100:] == 3).mean() > 0.8
    return trainer, found


def test_the_first_stroke_of_a_class_is_known_before_the_next_step():
    item, _ = painted()
    add_bright_border(item)
    trainer, found = after_the_first_stroke_of_the_border(item)
    assert (found[:, :92] == 3).mean() < 0.2
    assert np.isfinite(trainer.step())


def test_a_class_that_was_there_for_testing_only_is_known_from_its_first_stroke():
    item, _ = painted()
    add_bright_border(item)
    item.labels[28:36, :96] = item.labels[60:68, :96] = 1  # so much that none is tried
    item.labels[90:96, 104:120] = 3
    box = (slice(64, 128), slice(96, 128))
    secret = LabelledImage(item.image, item.labels, testing=(box,))
    after_the_first_stroke_of_the_border(secret)


def test_what_is_for_testing_does_not_make_the_teacher_weaker(monkeypatch):
    item, _ = painted()
    labels = np.array(item.labels)
    labels[96:] = 1
    box = (slice(96, 128), slice(0, 128))
    told, real = [], trainer_module.teacher_loss

    def keep(*given):
        told.append(given[-1])
        return real(*given)

    monkeypatch.setattr(trainer_module, "teacher_loss", keep)
    for one in (item, LabelledImage(item.image, labels, testing=(box,))):
        Trainer([one], CLASSES, CONFIG, NetworkConfig()).step()
    assert told == [104, 104]


def test_where_much_is_painted_it_is_learned_step_by_step():
    item, _ = painted()
    item.labels[0:5, :126] = 1
    item.labels[32:37, :126] = 2
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    before = head_of(trainer._average)
    item.labels[64:69, :126] = 2  # twice as much, and it contradicts the rest
    item.labels[96:101, :126] = 1
    trainer.refresh({0: None})
    assert same(before, head_of(trainer._average))


@pytest.mark.parametrize("left", ["nothing", "one class", "what is for testing"])
def test_erasing_strokes_keeps_the_last_layer(left):
    item, _ = painted()
    item.labels[100:104, 100:110] = 2
    item.labels[112:116, 100:110] = 1
    box = (slice(96, 128), slice(96, 128))
    secret = LabelledImage(item.image, item.labels, testing=(box,))
    trainer = Trainer([secret], CLASSES, CONFIG, NetworkConfig())
    before = head_of(trainer._average)
    erased = {
        "nothing": np.s_[:],
        "one class": np.s_[62:],
        "what is for testing": np.s_[:96],
    }
    item.labels[erased[left]] = 0
    trainer.refresh({0: None})
    assert same(before, head_of(trainer._average))


def test_where_memory_is_short_the_last_layer_stays_as_it_is(monkeypatch):
    item, _ = painted()
    trainer = Trainer([item], CLASSES, CONFIG, NetworkConfig())
    before = head_of(trainer._average)

    def fail(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(trainer.task, "painted_features", fail)
    item.labels[79:82, 44:52] = 2
    item.labels[94:98, 40:60] = 1
    trainer.refresh({0: None})
    assert same(before, head_of(trainer._average))
    monkeypatch.undo()
    trainer.refresh({0: None})
    assert not same(before, head_of(trainer._average))
