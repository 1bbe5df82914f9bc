"""What a network makes of photographs' features follows what is painted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.photo_solver import PhotoSolver, known_before
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError
from napari_fcn.networks.photo_features import photo_classifier

CLASSES = classes_from_values([1, 2])
CONFIG = TrainingConfig(device="cpu", precision="float32", held_out=0)


def stripes(*, painted: int = 3):
    """Fine stripes below, coarse ones above, equally bright; strokes on both."""
    y, x = np.mgrid[:96, :96]
    image = np.where(y < 48, x // 8 % 2, x // 2 % 2).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 0.1, image.shape).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    for row in range(painted):
        labels[8 + 8 * row, 10:80] = 2
        labels[86 - 8 * row, 10:80] = 1
    return LabelledImage(ImageSource(image, Axes.of("YX"), 2, "stripes"), labels)


def start(item: LabelledImage, classes=CLASSES, network=None, **others) -> Trainer:
    return Trainer([item], classes, CONFIG, network or NetworkConfig(), **others)


def opinion(trainer: Trainer) -> torch.Tensor:
    classifier = photo_classifier(trainer.live_model().network)
    return classifier.head.weight.clone()


def opinion_of(model: Model) -> torch.Tensor:
    return photo_classifier(model.network).head.weight.cpu()


def head_of(trainer: Trainer) -> torch.Tensor:
    return trainer.live_model().network.head.weight.detach()


def right(trainer: Trainer) -> float:
    """Return the share of pixels that photographs' features alone get right."""
    image = torch.from_numpy(stripes().image.data)[None, None]
    found = photo_classifier(trainer._average)(image)[0].argmax(0).numpy()
    return float((found == (np.arange(96) < 48)[:, None]).mean())


def test_they_tell_at_once_what_is_painted():
    trainer = start(stripes())
    assert right(trainer) > 0.9
    for network in (trainer._average, trainer.current_network):
        assert torch.equal(photo_classifier(network).head.weight, opinion(trainer))


def test_training_leaves_them_and_what_is_painted_does_not():
    item = stripes(painted=1)
    trainer = start(item)
    before = opinion(trainer)
    trainer.step()
    assert torch.equal(opinion(trainer), before)
    item.labels[50, 10:14] = 1  # four pixels more than 140
    trainer.refresh({0: None})
    assert torch.equal(opinion(trainer), before)
    item.labels[60, 10:80] = 1
    trainer.refresh({0: None})
    assert not torch.equal(opinion(trainer), before)
    assert torch.equal(
        photo_classifier(trainer.current_network).head.weight, opinion(trainer)
    )


def test_a_first_stroke_of_a_class_is_known_however_short():
    item = stripes()
    trainer = start(item, classes_from_values([1, 2, 3]))
    image = item.image.read((), item.image.whole())[0]
    assert 3 not in trainer.live_model().predict(image)
    before = opinion(trainer)
    item.labels[0, 0:3] = 3
    trainer.refresh({0: None})
    assert not torch.equal(opinion(trainer), before)


def test_a_network_from_random_weights_can_have_them_too():
    network = NetworkConfig(width=4, depth=1, photo_features=True)
    trainer = start(stripes(), network=network)
    assert right(trainer) > 0.9
    assert np.isfinite(trainer.step())


def test_a_model_file_holds_them(tmp_path):
    item = stripes()
    trainer = start(item)
    trainer.step()
    trainer.best_model().save(tmp_path / "model.safetensors")
    model = load_model(tmp_path / "model.safetensors")
    image = item.image.read((), item.image.whole())[0]
    one, other = (
        m.predict(image, output="probabilities") for m in (trainer.live_model(), model)
    )
    assert np.allclose(one, other, atol=1e-5)
    assert model.config.network.photo_features


def test_a_model_from_before_there_were_filters_is_read_and_learns_on(tmp_path):
    unfiltered = NetworkConfig(filter_features=False)
    model = start(stripes(), network=unfiltered).best_model()
    path = tmp_path / "model.safetensors"
    model.save(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name, text = next((n, t) for n, t in metadata.items() if "filter_features" in t)
    said = json.loads(text)
    del said["network"]["filter_features"]
    save_file(tensors, path, {**metadata, name: json.dumps(said)})
    before = load_model(path)
    image = stripes().image.data
    assert np.array_equal(before.predict(image), model.predict(image))
    trainer = start(stripes(painted=1), init=before)
    assert trainer.model_config.network.filter_features is False
    assert torch.equal(opinion(trainer), opinion_of(before))
    wanted = NetworkConfig(filter_features=True)
    with_filters = start(stripes(painted=1), network=wanted, init=before)
    assert right(with_filters) > 0.9
    assert torch.equal(head_of(with_filters), head_of(trainer))


def test_those_of_a_model_stay_until_as_much_is_painted_here(tmp_path):
    first = start(stripes())
    model = first.best_model()
    assert model.config.training["photographs_solved_on"] == 420
    assert "photographs_kept" not in model.config.training
    item = stripes(painted=1)
    trainer = start(item, init=model)
    assert torch.equal(opinion(trainer), opinion(first))
    item.labels[60, 10:80] = 1
    trainer.refresh({0: None})
    assert torch.equal(opinion(trainer), opinion(first))
    trainer.checkpoint(0.0).save(tmp_path / "run.safetensors")
    checkpoint = load_checkpoint(tmp_path / "run.safetensors")
    assert checkpoint.config.training["photographs_kept"] is True
    assert checkpoint.config.training["photographs_solved_on"] == 420
    resumed = start(item, resume=checkpoint)
    assert torch.equal(opinion(resumed), opinion(first))
    item.labels[...] = stripes(painted=4).labels
    resumed.refresh({0: None})
    assert not torch.equal(opinion(resumed), opinion(first))
    assert resumed.best_model().config.training["photographs_solved_on"] == 560


def test_those_of_an_earlier_network_follow_when_as_much_is_painted():
    earlier = start(stripes(painted=2)).best_model()
    trainer = start(stripes(painted=3), init=earlier)
    weight = photo_classifier(earlier.network).head.weight
    assert not torch.equal(opinion(trainer), weight)


@pytest.mark.parametrize("options", [{"scales": 1}, {"width": 8}])
def test_a_model_of_another_form_gives_what_fits_and_the_rest_is_solved(options):
    model = start(stripes()).best_model()
    item = stripes(painted=1)
    trainer = start(item, network=NetworkConfig(**options), init=model)
    assert right(trainer) > 0.9
    image = item.image.read((), item.image.whole())[0]
    found = trainer.live_model().predict(image)
    assert ((found == 2) == (np.arange(96) < 48)[:, None]).mean() > 0.7


def test_a_model_without_them_keeps_its_last_layer_where_they_are_added():
    plain = NetworkConfig(photo_features=False)
    model = start(stripes(), network=plain).best_model()
    assert "photographs_solved_on" not in model.config.training
    said: list[str] = []
    wanted = NetworkConfig(photo_features=True)
    trainer = start(stripes(), network=wanted, init=model, on_message=said.append)
    assert said[0].endswith("what features of photographs mean is learned anew.")
    assert "outputs start anew" not in said[0]
    head = trainer.live_model().network.head.weight
    assert torch.equal(head, model.network.head.weight)
    assert trainer.model_config.network.filter_features
    assert right(trainer) > 0.9


def test_what_a_classifier_was_solved_for_comes_with_it():
    """Also if a later version of the package would mix filters otherwise."""
    model = start(stripes()).best_model()
    filters = photo_classifier(model.network).filters
    filters.mixtures.weight.mul_(-1)
    trainer = start(stripes(painted=1), init=model)
    mine = photo_classifier(trainer.live_model().network).filters
    assert torch.equal(mine.mixtures.weight, filters.mixtures.weight)
    assert torch.equal(opinion(trainer), opinion_of(model))


def test_a_model_of_other_channels_says_nothing_of_these():
    model = start(stripes()).best_model()
    item = stripes(painted=1)
    both = np.stack([item.image.data, item.image.data[::-1]])
    two = LabelledImage(ImageSource(both, Axes.of("CYX"), 2, "two"), item.labels)
    trainer = start(two, init=model)
    weight = photo_classifier(model.network).head.weight
    assert not torch.equal(opinion(trainer), weight)


@pytest.mark.parametrize("name", ["segnet", "unet-deep", "cnn"])
def test_another_network_learns_on_from_a_model_with_them(name):
    model = start(stripes()).best_model()
    network = NetworkConfig.model_validate({"name": name, "depth": 1, "width": 4})
    trainer = start(stripes(), network=network, init=model)
    assert trainer.start == ""
    assert np.isfinite(trainer.step())
    found = trainer.live_model().config
    assert (found.network.scales, found.network.photo_features) == (1, False)
    assert not any("photographs" in fact for fact in found.training)


def volume_of(item: LabelledImage) -> LabelledImage:
    volume = np.stack([item.image.data] * 8)
    labels = np.zeros(volume.shape, np.uint8)
    labels[4] = item.labels
    return LabelledImage(ImageSource(volume, Axes.of("ZYX"), 3, "volume"), labels)


@pytest.mark.parametrize("options", [{"coordinates": True}, {"ndim": 3}])
def test_what_a_model_lacks_is_the_shipped_one_and_the_last_layer_is_solved(options):
    model = start(stripes()).best_model()
    item = volume_of(stripes()) if "ndim" in options else stripes()
    trainer = start(item, network=NetworkConfig(**options), init=model)
    assert trainer.start == "shipped"
    found = trainer.live_model().predict(item.image.data)
    found = found[4] if found.ndim == 3 else found
    assert ((found > 0) == (np.arange(96) < 48)[:, None]).mean() > 0.8


def test_in_2d_after_3d_they_are_there():
    deep = start(volume_of(stripes()), network=NetworkConfig(ndim=3)).best_model()
    assert deep.config.network.photo_features is False
    flat = start(stripes(), init=deep).live_model()
    assert flat.config.network.photo_features


@pytest.mark.parametrize(
    "number", [-1, 0, True, 1.5, float("nan"), "many", None, [3], {}]
)
def test_nonsense_in_a_model_file_is_as_nothing(number):
    training = {"photographs_solved_on": number, "photographs_kept": number}
    assert known_before(training, own=False) == (0, False)


def test_no_number_in_a_model_file_keeps_a_classifier_for_ever():
    worth, kept = known_before({"photographs_solved_on": 10**30}, own=False)
    assert kept
    assert worth <= 24000


def test_a_class_that_a_model_does_not_know_is_learned_with_the_others():
    model = start(stripes()).best_model()
    item = stripes()
    item.labels[40:56, 85:95] = 3
    trainer = start(item, classes_from_values([1, 2, 3]), init=model)
    assert (opinion(trainer)[2] != 0).any()
    assert right(trainer) > 0.8


def test_classes_of_a_model_in_another_order_keep_their_rows():
    model = start(stripes()).best_model()
    trainer = start(stripes(), CLASSES[::-1], init=model)
    weight = photo_classifier(model.network).head.weight
    assert torch.equal(opinion(trainer), weight.flip(0))


def test_a_run_goes_on_with_what_was_painted_meanwhile(tmp_path):
    item = stripes(painted=1)
    trainer = start(item)
    trainer.checkpoint(0.0).save(tmp_path / "run.safetensors")
    checkpoint = load_checkpoint(tmp_path / "run.safetensors")
    before = opinion(trainer)
    item.labels[...] = stripes(painted=4).labels
    resumed = start(item, resume=checkpoint)
    assert not torch.equal(opinion(resumed), before)
    assert right(resumed) > 0.9


def test_a_run_whose_classes_are_others_now_still_follows():
    item = stripes(painted=1)
    item.labels[40:56, 85:95] = 3
    three = start(item, classes_from_values([1, 2, 3])).checkpoint(0.0)
    item.labels[item.labels == 3] = 0
    trainer = start(item, resume=three)
    before = opinion(trainer)
    item.labels[60, 10:80] = 1
    trainer.refresh({0: None})
    assert not torch.equal(opinion(trainer), before)


def test_a_class_that_is_erased_is_no_longer_found():
    item = stripes()
    item.labels[40:44, 85:95] = 3
    trainer = start(item, classes_from_values([1, 2, 3]))
    assert (opinion(trainer)[2] != 0).any()
    item.labels[item.labels == 3] = 0
    trainer.refresh({0: None})
    assert (opinion(trainer)[2] == 0).all()


def test_what_one_class_alone_says_is_not_taken():
    item = stripes()
    trainer = start(item)
    before = opinion(trainer)
    item.labels[item.labels == 2] = 0
    trainer.refresh({0: None})
    assert torch.equal(opinion(trainer), before)
    assert trainer.live_model().config.training["photographs_solved_on"] == 420


@pytest.mark.parametrize("edge", [16, 64])
def test_where_memory_is_short_crops_are_smaller_or_they_say_nothing(edge, monkeypatch):
    follow = PhotoSolver.follow

    def with_little_memory(self, average, learning, crops, augment):
        real, looked_at = self._task.painted_features, []

        def fail_when_large(see, crop, augment, look):
            looked_at.append(crop)
            if max(crop) > edge:
                raise torch.OutOfMemoryError("out of memory")
            return real(see, crop, augment, look)

        monkeypatch.setattr(self._task, "painted_features", fail_when_large)
        follow(self, average, learning, [(96, 96), (64, 64)], augment)
        monkeypatch.undo()
        assert looked_at == [(96, 96), (64, 64)]

    monkeypatch.setattr(PhotoSolver, "follow", with_little_memory)
    trainer = start(stripes())
    solved = bool(opinion(trainer).any())
    assert solved == (edge == 64)
    told = trainer.live_model().config.training
    assert ("photographs_solved_on" in told) == solved
    assert np.isfinite(trainer.step())


def biases(trainer: Trainer) -> torch.Tensor:
    return photo_classifier(trainer.live_model().network).head.bias.clone()


def uneven(*, painted: int) -> LabelledImage:
    """As `stripes`, with a sixth of the image for the coarse ones."""
    item = stripes()
    y, x = np.mgrid[:96, :96]
    image = np.where(y < 16, x // 8 % 2, x // 2 % 2).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 0.1, image.shape).astype(np.float32)
    item.labels[...] = 0
    for row in range(painted):
        item.labels[2 + 3 * row, 10:80] = 2
        item.labels[86 - 8 * row, 10:80] = 1
    return LabelledImage(ImageSource(image, Axes.of("YX"), 2, "uneven"), item.labels)


def favours(item: LabelledImage, monkeypatch, classes=CLASSES) -> np.ndarray:
    """What is added to the logits of classes for what they take of the image."""
    with_shares = start(item, classes)
    with monkeypatch.context() as patched:
        patched.setattr("napari_fcn.engine.photo_solver._FREQUENT", 0)
        without = start(item, classes)
    assert torch.equal(opinion(with_shares), opinion(without))
    return (biases(with_shares) - biases(without)).numpy() / 3


@pytest.mark.parametrize("painted", [1, 3])
def test_what_takes_more_of_the_image_is_the_more_likely(painted, monkeypatch):
    more, less = favours(uneven(painted=painted), monkeypatch)
    # a fifth of the logarithm of 5; a thousand pixels are believed
    wanted = 0.2 * np.log(5) * 140 * painted / 1000
    assert more - less == pytest.approx(wanted, rel=0.3)


def test_a_class_that_is_predicted_nowhere_stays_possible(monkeypatch):
    item = stripes()
    item.labels[0, 0] = 3
    *_, rare = favours(item, monkeypatch, classes_from_values([1, 2, 3]))
    assert -0.2 * np.log(100) <= rare < 0


def test_dense_masks_tell_what_is_frequent(monkeypatch):
    item = stripes()
    item.labels[...] = 1
    item.labels[:, :12] = 2
    dense = LabelledImage(item.image, item.labels, dense=True)
    more, less = favours(dense, monkeypatch)
    assert more - less == pytest.approx(0.2 * np.log(7), rel=1e-3)


def test_to_look_at_shares_does_not_change_what_is_learned_from(monkeypatch):
    item = stripes()

    def crops() -> torch.Tensor:
        trainer = start(item)
        image, _ = trainer.task.batch(
            2, (32, 32), trainer._augment, torch.device("cpu")
        )
        return image

    seen = crops()
    monkeypatch.setattr(PhotoSolver, "_shares", lambda *_: torch.ones(2) / 2)
    assert torch.equal(crops(), seen)


def test_without_memory_to_look_at_images_it_is_solved_all_the_same(monkeypatch):
    def fail(self, crop, most):
        raise torch.OutOfMemoryError("out of memory")

    wanted = start(stripes())
    monkeypatch.setattr("napari_fcn.engine.tasks.base.Task.crops_anywhere", fail)
    trainer = start(stripes())
    assert torch.equal(opinion(trainer), opinion(wanted))
    assert not torch.equal(biases(trainer), biases(wanted))
    mine = photo_classifier(trainer.current_network).head.bias
    assert torch.equal(mine, biases(trainer))


def test_a_run_whose_weights_do_not_fit_is_said_to_be_damaged():
    checkpoint = start(stripes()).checkpoint(0.0)
    name = next(n for n in checkpoint.tensors if n.startswith("network.photographs"))
    checkpoint.tensors[f"{name}.other"] = checkpoint.tensors.pop(name)
    with pytest.raises(UserError, match="start training anew"):
        start(stripes(), resume=checkpoint)
