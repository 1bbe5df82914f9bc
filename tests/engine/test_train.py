from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fcn.config import (
    NetworkConfig,
    NormalisationConfig,
    TrainingConfig,
    classes_from_values,
)
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine import trainer as trainer_module
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.engine.device import Compute
from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.engine.model import Model
from napari_fcn.engine.train import Budget, CancelToken, train
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError

SMALL = NetworkConfig(width=4, depth=1)
QUICK = TrainingConfig(crop=32, batch=4, precision="float32")


def discs(n: int = 1, size: int = 64, seed: int = 0):
    """Noisy bright discs, with the truth (1 background, 2 disc)."""
    random = np.random.default_rng(seed)
    grid = np.mgrid[:size, :size]
    images, truths = [], []
    for _ in range(n):
        truth = np.ones((size, size), np.uint8)
        for _ in range(5):
            centre = random.integers(8, size - 8, 2)
            near = ((grid - centre[:, None, None]) ** 2).sum(0) < 36
            truth[near] = 2
        images.append((truth == 2) * 1.0 + random.normal(0, 0.3, truth.shape))
        truths.append(truth)
    return np.stack(images).astype(np.float32), np.stack(truths)


def strokes(truth, share=0.2, seed=0):
    """Keep the truth in random small squares only."""
    random = np.random.default_rng(seed)
    keep = np.zeros(truth.shape, bool)
    while keep.mean() < share:
        index = [int(random.integers(n)) for n in truth.shape]
        box = (*index[:-2], *(slice(i, i + 4) for i in index[-2:]))
        keep[box] = True
    return np.where(keep, truth, 0)


def labelled(ndim: int = 2, **options) -> LabelledImage:
    images, truths = discs(3)
    source = ImageSource(images, Axes.of("TYX"), ndim)
    return LabelledImage(source, strokes(truths), **options)


def run(item=None, steps=60, **options):
    events = []
    also = options.pop("callback", lambda *_: None)
    options.setdefault("config", QUICK)
    options.setdefault("network", SMALL)
    model = train(
        [item or labelled()],
        classes_from_values([1, 2]),
        budget=Budget(steps=steps),
        callback=lambda event, trainer: (events.append(event), also(event, trainer)),
        **options,
    )
    return model, events


def test_learns_from_strokes_and_sees_the_rest():
    model, events = run(steps=120)
    images, truths = discs(2, seed=7)
    predicted = model.predict(images)
    disc = truths == 2
    overlap = ((predicted == 2) & disc).sum() * 2
    assert overlap / ((predicted == 2).sum() + disc.sum()) > 0.85
    assert set(np.unique(predicted)) == {0, 2}
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "done"
    assert sum(isinstance(e, Finished) for e in events) == 1
    assert any(isinstance(e, Started) for e in events)
    scores = [e for e in events if isinstance(e, Scored)]
    assert scores[-1].held_out
    assert scores[-1].score > 0.8


def test_seeded_runs_repeat():
    first, _ = run(steps=12)
    second, _ = run(steps=12)
    other, _ = run(steps=12, config=QUICK.model_copy(update={"seed": 1}))
    a, b, c = (m.network.state_dict() for m in (first, second, other))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_cancel_keeps_the_best_weights():
    token, seen = CancelToken(), []

    def stop_at_five(event, _):
        seen.append(event)
        if isinstance(event, Stepped) and event.step == 5:
            token.cancel()

    model = train(
        [labelled()],
        classes_from_values([1, 2]),
        config=QUICK,
        network=SMALL,
        callback=stop_at_five,
        cancel=token,
    )
    assert isinstance(model, Model)
    assert seen[-1] == Finished("stopped")
    assert max(e.step for e in seen if isinstance(e, Stepped)) == 5


@pytest.mark.parametrize("values", [(), (1,), (2,)])
def test_one_class_or_none_is_one_sentence(values):
    item = labelled()
    labels = np.where(np.isin(item.labels, values), item.labels, 0)
    with pytest.raises(UserError, match="paint"):
        train(
            [LabelledImage(item.image, labels)],
            classes_from_values([1, 2]),
            config=QUICK,
            network=SMALL,
            budget=Budget(steps=1),
        )


@pytest.mark.parametrize("rest", [0.0, np.nan])
def test_constant_images_with_and_without_nan_do_not_break_training(rest):
    pixels = np.full((40, 40), rest, np.float32)
    pixels[:20] = 0
    source = ImageSource(pixels, Axes.of("YX"), 2)
    labels = np.zeros((40, 40), np.uint8)
    labels[5:10], labels[20:25] = 1, 2
    model, events = run(LabelledImage(source, labels), steps=3)
    assert all(np.isfinite(e.loss) for e in events if isinstance(e, Stepped))
    assert model.predict(np.zeros((40, 40), np.float32)).shape == (40, 40)


def test_an_image_of_two_pixels():
    source = ImageSource(np.array([[0.0, 1.0]], np.float32), Axes.of("YX"), 2)
    model, _ = run(LabelledImage(source, np.array([[1, 2]], np.uint8)), steps=2)
    assert model.predict(np.ones((1, 1), np.float32)).shape == (1, 1)


def test_3d():
    images, truths = discs(12, size=32)
    source = ImageSource(images, Axes.of("ZYX"), 3)
    item = LabelledImage(source, strokes(truths))
    network = NetworkConfig(ndim=3, width=4, depth=1)
    config = QUICK.model_copy(update={"crop": 16, "batch": 2})
    model, _ = run(item, steps=4, network=network, config=config)
    assert model.predict(images).shape == images.shape


def test_unlabelled_pixels_are_never_looked_at():
    item = labelled()
    trainer = Trainer([item], classes_from_values([1, 2]), QUICK, SMALL)
    whole = item.image.whole()
    train_part = trainer.annotations.target(0, (0,), whole, held=False)
    held_part = trainer.annotations.target(0, (0,), whole, held=True)
    painted = item.labels[0] > 0
    assert ((train_part >= 0) | (held_part >= 0)).tolist() == painted.tolist()
    assert not ((train_part >= 0) & (held_part >= 0)).any()
    assert (held_part >= 0).any()


def test_dense_zero_is_background():
    images, truths = discs(3)
    source = ImageSource(images, Axes.of("TYX"), 2)
    mask = (truths == 2) * np.uint8(7)
    classes = classes_from_values([0, 7], background=0)
    model = train(
        [LabelledImage(source, mask, dense=True)],
        classes,
        config=QUICK,
        network=SMALL,
        budget=Budget(steps=80),
    )
    predicted = model.predict(images)
    assert set(np.unique(predicted)) == {0, 7}
    assert (predicted == mask).mean() > 0.9


def test_memory_running_out_makes_batches_smaller(monkeypatch):
    step = Trainer._step

    def fail_when_large(self, progress):
        if self._batch > 1:
            raise torch.OutOfMemoryError("out of memory")
        return step(self, progress)

    monkeypatch.setattr(Trainer, "_step", fail_when_large)
    _, events = run(steps=2)
    texts = [e.text for e in events if isinstance(e, Message)]
    assert sum("Memory ran out" in t for t in texts) == 2
    assert events[-1].reason == "done"


def test_memory_that_never_suffices_ends_in_one_finished_event(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Trainer, "_step", fail)
    events = []
    with pytest.raises(UserError, match="not enough memory"):
        train(
            [labelled()],
            classes_from_values([1, 2]),
            config=QUICK,
            network=SMALL,
            callback=lambda e, _: events.append(e),
        )
    assert [type(e) for e in events].count(Finished) == 1
    assert events[-1].reason == "failed"


def test_a_network_too_large_for_the_gpu_goes_to_the_processor(monkeypatch):
    def choose(name, precision):
        device = torch.device("cuda" if name == "auto" else name)
        return Compute(device)

    place = Trainer._place

    def fail_on_gpu(self, network):
        if self.compute.device.type == "cuda":
            raise torch.OutOfMemoryError("out of memory")
        place(self, network)

    monkeypatch.setattr(trainer_module, "choose_compute", choose)
    monkeypatch.setattr(Trainer, "_place", fail_on_gpu)
    _, events = run(steps=2)
    texts = [e.text for e in events if isinstance(e, Message)]
    assert sum("going on with the processor" in t for t in texts) == 1
    assert events[-1].reason == "done"


def test_fine_tuning_with_another_class_keeps_what_fits():
    model, _ = run(steps=5)
    item = labelled()
    labels = item.labels.copy()
    labels[0, :4] = 3
    events = []
    tuned = train(
        [LabelledImage(item.image, labels)],
        classes_from_values([1, 2, 3]),
        config=QUICK,
        network=SMALL,
        budget=Budget(steps=1),
        init=model,
        callback=lambda e, _: events.append(e),
    )
    assert tuned.config.network.out_channels == 3
    said = [e.text for e in events if isinstance(e, Message)]
    assert any("class 3" in t and "start anew" in t for t in said)


def test_strokes_added_while_training_are_learned():
    item = labelled()
    trainer = Trainer([item], classes_from_values([1, 2]), QUICK, SMALL)
    before = sum(trainer.annotations.class_pixels())
    item.labels[1, 30:40, 30:40] = 1
    trainer.refresh({0: [(1,)]})
    assert sum(trainer.annotations.class_pixels()) > before
    target = trainer.annotations.target(0, (1,), (slice(30, 40),) * 2, held=False)
    assert (target >= 0).mean() > 0.5


def checkpoint_after(steps: int, path):
    """Train and keep the run as it is after some steps."""
    kept = []

    def keep(event, trainer):
        if isinstance(event, Stepped) and event.step == steps:
            trainer.checkpoint(event.seconds).save(path)
            kept.append(event)

    run(steps=steps, callback=keep)
    assert len(kept) == 1
    return load_checkpoint(path)


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    checkpoint = checkpoint_after(30, tmp_path / "c.safetensors")
    assert checkpoint.step == 30
    model, events = run(steps=10, resume=checkpoint)
    steps = [e.step for e in events if isinstance(e, Stepped)]
    assert steps == list(range(31, 41))
    assert model.config.training["steps"] == 40
    assert any(isinstance(e, Message) and "step 30" in e.text for e in events)
    losses = [e.loss for e in events if isinstance(e, Stepped)]
    fresh = [e.loss for e in run(steps=10)[1] if isinstance(e, Stepped)]
    assert np.mean(losses) < 0.85 * np.mean(fresh)


def test_a_run_goes_on_when_classes_have_other_names_and_colours(tmp_path):
    checkpoint = checkpoint_after(5, tmp_path / "c.safetensors")
    look = {"name": "nucleus", "colour": "#123456"}
    classes = [c.model_copy(update=look) for c in classes_from_values([1, 2])]
    trainer = Trainer([labelled()], classes, QUICK, SMALL, resume=checkpoint)
    assert trainer.step_number == 5
    assert list(trainer.model_config.classes) == classes
    others = classes_from_values([1, 3])
    item = labelled()
    item.labels[item.labels == 2] = 3
    assert Trainer([item], others, QUICK, SMALL, resume=checkpoint).step_number == 0


def test_a_checkpoint_holds_the_optimiser(tmp_path):
    checkpoint = checkpoint_after(5, tmp_path / "c.safetensors")
    trainer = Trainer(
        [labelled()], classes_from_values([1, 2]), QUICK, SMALL, resume=checkpoint
    )
    again = trainer.checkpoint(checkpoint.seconds)
    assert again.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor)


def test_a_run_goes_on_with_the_normalisation_it_began_with(tmp_path):
    """Models of before sections were aligned see images as they always did."""
    checkpoint = checkpoint_after(5, tmp_path / "c.safetensors")
    assert checkpoint.config.normalisation.aligned
    config = checkpoint.config.model_copy(
        update={"normalisation": NormalisationConfig()}
    )
    checkpoint = replace(checkpoint, config=config)
    trainer = Trainer(
        [labelled()], classes_from_values([1, 2]), QUICK, SMALL, resume=checkpoint
    )
    assert trainer.live_model().config.normalisation == NormalisationConfig()


def test_a_run_goes_on_with_another_class(tmp_path):
    checkpoint = checkpoint_after(10, tmp_path / "c.safetensors")
    item = labelled()
    item.labels[0, :8, :8] = 3
    trainer = Trainer(
        [item], classes_from_values([1, 2, 3]), QUICK, SMALL, resume=checkpoint
    )
    assert trainer.resumed is None
    assert trainer.live_model().config.network.out_channels == 3


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint_after(2, path)
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-50], b"\xff" * 200):
        path.write_bytes(content)
        with pytest.raises(UserError, match="start training anew"):
            load_checkpoint(path)
    with pytest.raises(UserError, match="start training anew"):
        load_checkpoint(tmp_path / "missing.safetensors")


def test_gradients_that_are_no_numbers_do_not_reach_the_weights():
    """As bfloat16 gives them for some operations, with a loss that is a number."""
    images, truths = discs()
    config = QUICK.model_copy(update={"precision": "bfloat16"})
    item = LabelledImage(ImageSource(images[0], Axes.of("YX"), 2), strokes(truths[0]))
    trainer = Trainer([item], classes_from_values([1, 2]), config, SMALL)
    parameter = next(trainer.current_network.parameters())
    hook = parameter.register_hook(lambda gradient: gradient * torch.nan)
    assert np.isfinite(trainer.step())
    hook.remove()
    assert trainer.compute.dtype == torch.float32
    assert np.isfinite(trainer.step())
    weights = trainer.best_model().network.state_dict().values()
    assert all(torch.isfinite(tensor).all() for tensor in weights)
