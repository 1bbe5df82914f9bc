"""Counting: it learns, weak labels move the count, and what is known of its error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fcn.config import (
    AugmentationConfig,
    ClassInfo,
    CountError,
    NetworkConfig,
    NormalisationConfig,
    TrainingConfig,
    usual_augmentation,
)
from napari_fcn.data.axes import Axes
from napari_fcn.data.dots import CountedBox, Dots, DottedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.augmentation import Augmenter
from napari_fcn.engine.box_turns import BoxTurns
from napari_fcn.engine.count_error import CountPairs
from napari_fcn.engine.density_losses import DensityLoss, count_error, pixel_error
from napari_fcn.engine.model import Model, load_model
from napari_fcn.engine.peaks import find_peaks
from napari_fcn.engine.train import Budget, train
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError
from napari_fcn.workbench.counting import count_image

CELL = (ClassInfo(value=2, name="cell"),)
SMALL = NetworkConfig(width=8, depth=2)
QUICK = TrainingConfig(
    crop=32, batch=4, augmentation=AugmentationConfig(elastic=0, noise=0, blur=0)
)


def cells(n=30, size=96, seed=0):
    """An image with a bright spot at each dot."""
    random = np.random.default_rng(seed)
    places = random.uniform(3, size - 4, (n, 2))
    y, x = np.mgrid[:size, :size]
    image = random.normal(0, 0.05, (size, size))
    for a, b in places:
        image += np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8)
    source = ImageSource(image.astype(np.float32), Axes.of("YX"), 2, f"cells {seed}")
    return source, places


@pytest.fixture(scope="module")
def model():
    item = DottedImage(cells()[0], Dots.of(cells()[1]))
    return train([item], CELL, config=QUICK, network=SMALL, budget=Budget(steps=120))


def test_it_counts_an_image_it_has_not_seen(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.config == model.config
    source, places = cells(50, seed=1)
    counted = count_image(again, source, peaks=True)
    (count,) = counted.counts
    assert count.count == pytest.approx(50, rel=0.2)
    assert count.deviation > 0
    density = again.predict(source.data)
    assert density.shape == source.spatial_shape
    assert (density >= 0).all()
    assert float(density.sum()) == pytest.approx(count.count, rel=1e-4)
    distance = np.linalg.norm(places[:, None] - counted.objects.places[None], axis=-1)
    assert (distance.min(1) < 3).mean() > 0.7


def test_noise_is_not_made_as_bright_as_objects(model):
    noise = np.random.default_rng(5).normal(0, 0.05, (96, 96)).astype(np.float32)
    empty = ImageSource(noise, Axes.of("YX"), 2, "empty")
    own = Model(
        model.config.model_copy(update={"normalisation": NormalisationConfig()}),
        model.network,
        model.receptive_field,
    )
    (count,), (wrong,) = (count_image(m, empty).counts for m in (model, own))
    assert abs(count.count) < abs(wrong.count) / 2


def test_a_model_that_goes_on_keeps_its_range(model):
    brighter = DottedImage(cells()[0], Dots.of(cells()[1]))
    brighter.image.data *= 2
    trainer = Trainer([brighter], CELL, QUICK, SMALL)
    mine = trainer.model_config.normalisation
    assert mine != model.config.normalisation
    earlier = trainer.checkpoint(0)
    config = earlier.config.model_copy(
        update={"normalisation": model.config.normalisation}
    )
    resumed = Trainer(
        [brighter], CELL, QUICK, SMALL, resume=replace(earlier, config=config)
    )
    assert resumed.model_config.normalisation == model.config.normalisation


def test_counts_of_regions_add_up(model):
    source, _ = cells(40, seed=2)
    regions = np.ones(source.label_shape, np.uint8)
    regions[:, 40:] = 2
    parts = count_image(model, source, regions=regions).counts
    (whole,) = count_image(model, source, tile=32).counts
    assert [c.region for c in parts] == [1, 2]
    assert sum(c.count for c in parts) == pytest.approx(whole.count, rel=1e-3)


def test_a_model_for_something_else_does_not_count(model):
    with pytest.raises(UserError, match="gives density"):
        model.predict(cells()[0].data, output="labels")


def counts_with_a_box(source, places, regions, steps):
    """Learn that another image has as many objects as it has, or twice; count it."""
    dotted = DottedImage(cells()[0], Dots.of(cells()[1]))
    found = []
    for factor in (1, 2):
        box = CountedBox((), source.whole(), {2: factor * len(places)})
        weak = DottedImage(source, Dots.of(np.zeros((0, 2))), regions, (box,))
        budget = Budget(steps=steps)
        trained = train(
            [dotted, weak], CELL, config=QUICK, network=SMALL, budget=budget
        )
        found.append(count_image(trained, source).counts[0].count)
    return found


def test_weak_labels_move_the_count():
    """Boxes with twice the objects, on another image, raise what is counted there."""
    source, places = cells(24, seed=3)
    regions = np.zeros(source.label_shape, np.uint8)
    found = counts_with_a_box(source, places, regions, 80)
    assert found[1] > 1.25 * found[0]


def test_nothing_to_learn_from_is_one_sentence():
    source, places = cells()
    nothing = np.zeros(source.label_shape, np.uint8)
    with pytest.raises(UserError, match="no dot in an annotated region"):
        Trainer([DottedImage(source, Dots.of(places), nothing)], CELL, QUICK, SMALL)
    two = (*CELL, ClassInfo(value=3, name="spot"))
    with pytest.raises(UserError, match="'spot'"):
        Trainer([DottedImage(source, Dots.of(places))], two, QUICK, SMALL)
    config = QUICK.model_copy(update={"loss": "dice"})
    with pytest.raises(UserError, match="l2\\+counts"):
        Trainer([DottedImage(source, Dots.of(places))], CELL, config, SMALL)


def test_a_large_box_is_learned_from_a_few_pieces_at_a_time():
    """The same as above with a box of 36 crops, more than a step has room for."""
    source, places = cells(96, size=192, seed=3)
    found = counts_with_a_box(source, places, None, 160)
    assert found[1] > 1.25 * found[0]


def test_two_kinds_of_objects_are_counted_apart():
    """Bright dots and wide, faint ones."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]

    def scene():
        image = random.normal(0, 0.03, y.shape)
        small, wide = random.uniform(5, 122, (30, 2)), random.uniform(5, 122, (10, 2))
        for a, b in small:
            image += np.exp(-((y - a) ** 2 + (x - b) ** 2) / 4)
        for a, b in wide:
            image += 0.4 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 60)
        source = ImageSource(image.astype(np.float32), Axes.of("YX"), 2, "scene")
        values = [2] * len(small) + [3] * len(wide)
        return DottedImage(source, Dots.of(np.concatenate([small, wide]), values))

    two = (*CELL, ClassInfo(value=3, name="spore"))
    items = [scene() for _ in range(3)]
    model = train(items, two, config=QUICK, network=SMALL, budget=Budget(steps=150))
    counts = count_image(model, scene().image).counts
    assert [c.label for c in counts] == ["cell", "spore"]
    assert [c.count for c in counts] == pytest.approx([30, 10], rel=0.35)


def test_pieces_of_a_box_are_seen_in_turn_and_the_others_remembered():
    box = CountedBox((), (slice(0, 96), slice(0, 80)), {2: 30})
    turns = BoxTurns([(0, box)], 2)
    seen: list[int] = []
    for step in range(3):
        turn = turns.next((16, 16))
        assert len(turn.pieces) == 16
        assert np.isnan(turn.others).all() == (step < 1)
        turns.remember(turn, np.tile(np.float32([1, 2]), (16, 1)))
        seen += turn.chosen
    assert set(seen) == set(range(30))
    np.testing.assert_array_equal(turn.others, [14, 28])
    smaller = turns.next((48, 80))
    assert smaller.chosen == [0, 1]
    np.testing.assert_array_equal(smaller.others, 0)


def test_a_box_alone_says_nothing_of_what_lies_around_it():
    source, places = cells()
    box = CountedBox((), (slice(0, 40), slice(0, 40)), {2: 5})
    alone = DottedImage(source, Dots.of(np.zeros((0, 2))), None, (box,))
    assert not alone.annotated().any()
    assert DottedImage(source, Dots.of(places), None, (box,)).annotated().all()
    assert DottedImage(source, Dots.of(np.zeros((0, 2)))).annotated().all()


def test_volumes_are_counted_too():
    random = np.random.default_rng(0)
    places = random.uniform((1, 4, 4), (10, 43, 43), (20, 3))
    z, y, x = np.mgrid[:12, :48, :48]
    image = np.zeros(z.shape, np.float32)
    for a, b, c in places:
        image += np.exp(-((z - a) ** 2 * 4 + (y - b) ** 2 + (x - c) ** 2) / 8)
    source = ImageSource(image, Axes.of("ZYX", (2, 1, 1)), 3, "volume")
    network = SMALL.model_copy(update={"ndim": 3, "depth": 1})
    config = QUICK.model_copy(update={"crop": 24, "batch": 2})
    item = DottedImage(source, Dots.of(places))
    model = train([item], CELL, config=config, network=network, budget=Budget(steps=60))
    widths = model.config.density.widths[0]
    assert widths[1] == widths[2] == pytest.approx(2 * widths[0])
    assert count_image(model, source).counts[0].count == pytest.approx(20, rel=0.4)


def test_moving_a_density_keeps_its_integral():
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    spot = torch.exp(-((y - 48) ** 2 + (x - 44) ** 2) / 12)
    density = (spot / spot.sum()).repeat(32, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    augment = Augmenter(AugmentationConfig(), 2, generator, "cpu")
    moved = augment.geometry(density).warp_density(density)
    sums = moved.sum((1, 2, 3))
    torch.testing.assert_close(sums, torch.ones(32), atol=0.02, rtol=0)
    assert (moved - density).abs().max() > 0.01


def drawn(config, size=96, n=30):
    """Return a batch of a trainer with automatic crops."""
    source, places = cells(n, size)
    trainer = Trainer([DottedImage(source, Dots.of(places))], CELL, config, SMALL)
    batch, crop = trainer._choose_crops()
    image, target = trainer.task.batch(batch, crop, trainer._augment, "cpu")
    return image, target, trainer


def test_crops_are_turned_but_neither_smoothed_nor_resampled():
    only = {"noise": 0, "overlay": 0}
    still = usual_augmentation("density").model_copy(update=only)
    config = TrainingConfig(augmentation=still)
    image, target, trainer = drawn(config)
    content = trainer._cache.read((0, ()), trainer.task.images[0].image.whole())
    assert np.isin(image.numpy(), content).all()
    zoomed = still.model_copy(update={"scale": 0.2})
    other, moved, _ = drawn(config.model_copy(update={"augmentation": zoomed}))
    assert not np.isin(other.numpy(), content).all()
    assert set(target.seen.unique().tolist()) <= {0, 1}
    assert set(moved.seen.unique().tolist()) == {0, 1}


def test_quarter_turns_and_flips_keep_dots_on_their_spots():
    image, target, _ = drawn(TrainingConfig(held_out=0))
    for spots, density in zip(image[:, 0], target.density[:, 0], strict=True):
        middles = density > 0.9
        assert spots[middles].mean() > 3 * spots.mean()


@pytest.mark.parametrize(
    ("size", "expected"), [(260, (2, 256)), (150, (8, 128)), (64, (8, 64))]
)
def test_large_areas_are_learned_in_large_crops(size, expected):
    image, _, _ = drawn(TrainingConfig(), size, 60)
    assert (len(image), image.shape[-1]) == expected
    chosen = TrainingConfig(crop=32)
    assert drawn(chosen, size, 60)[0].shape == (8, 1, 32, 32)


def test_crowded_crops_are_made_of_two_where_enough_is_dotted():
    def objects(size: int, share: float | None = None) -> float:
        usual = usual_augmentation("density")
        chosen = share is not None and usual.model_copy(update={"overlay": share})
        config = TrainingConfig(held_out=0, augmentation=chosen or None)
        _, target, trainer = drawn(config, size, 60)
        total = [target.density.sum()]
        for _ in range(19):
            batch, crop = trainer._choose_crops()
            args = batch, crop, trainer._augment, "cpu"
            total.append(trainer.task.batch(*args)[1].density.sum())
        return float(sum(total))

    plain, double = objects(260, 0.0), objects(260, 1.0)
    assert double == pytest.approx(2 * plain, rel=0.05)
    assert 1.2 * plain < objects(260) < 1.8 * plain
    assert objects(150) < 1.3 * objects(150, 0.0)


def test_a_small_dotted_area_of_a_large_image_is_learned_in_small_crops():
    source, places = cells(60, 260)
    regions = np.zeros(source.label_shape, np.uint8)
    regions[:, :100] = 1
    item = DottedImage(source, Dots.of(places), regions)
    trainer = Trainer([item], CELL, TrainingConfig(), SMALL)
    assert trainer._choose_crops() == (8, (128, 128))


@pytest.mark.parametrize(
    ("size", "images", "least"), [(260, 1, 0), (64, 1, 0.1), (64, 6, 0)]
)
def test_a_small_area_tells_little_of_other_images(size, images, least):
    items = [
        DottedImage(source, Dots.of(places))
        for source, places in (cells(30, size, seed) for seed in range(images))
    ]
    task = Trainer(items, CELL, TrainingConfig(crop=32, batch=2), SMALL).task
    exact = CountError(scatter=0.1, bias=0.01)
    assert task._widened(exact).bias == pytest.approx(np.hypot(0.01, least))


def test_brightness_is_kept_where_enough_is_dotted_to_rely_on_it():
    for size, varied in ((260, 0), (150, 0.15)):
        *_, trainer = drawn(TrainingConfig(), size, 60)
        assert trainer._augment.config.brightness == varied
    chosen = usual_augmentation("density").model_copy(update={"noise": 0.2})
    *_, trainer = drawn(TrainingConfig(augmentation=chosen), 64)
    assert trainer._augment.config == chosen


def test_losses_do_not_see_what_is_not_annotated():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand((2, 1, 64, 64), generator=generator)
    seen = (torch.rand((2, 1, 64, 64), generator=generator) < 0.5).float()
    peaks = torch.tensor([0.1])
    density = torch.rand(target.shape, generator=generator)
    other = torch.where(seen > 0, density, 99.0)
    loss = DensityLoss.of("l1+l2+counts")
    masked = target * seen
    assert loss(density, masked, seen, peaks) > 0
    torch.testing.assert_close(
        loss(density, masked, seen, peaks), loss(other, masked, seen, peaks)
    )
    assert pixel_error(target, target, seen, 2) == 0
    assert count_error(target, masked, seen, peaks) == 0


@pytest.mark.parametrize(("scatter", "bias"), [(0.5, 0.0), (0.2, 0.1)])
def test_the_error_of_counts_is_found_again(scatter, bias):
    random = np.random.default_rng(0)
    pairs = CountPairs(1)
    for group in range(60):
        factor = 1 + bias * random.normal()
        for _ in range(8):
            truth = random.integers(5, 15)
            found = factor * truth + random.normal() * np.sqrt(scatter * truth)
            pairs.add([truth], [found], group)
    error = pairs.error(held=True)
    assert error.regions == 480
    truth = 80.0
    expected = np.sqrt(scatter * truth + (bias * truth) ** 2)
    assert error.deviation(truth) == pytest.approx(expected, rel=0.35)


def test_peaks_are_where_the_objects_are():
    places = np.array([[10, 10], [10, 22], [40, 31]])
    y, x = np.mgrid[:64, :64]
    density = sum(
        np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18) / (18 * np.pi) for a, b in places
    )
    found = find_peaks(density.astype(np.float32), (3, 3))
    assert sorted(map(tuple, found)) == sorted(map(tuple, places))
    assert len(find_peaks(np.zeros((20, 20), np.float32), (3, 3))) == 0


def halves(testing, boxes=()):
    """An image whose right half is for testing, if wanted, with dots in both."""
    source, _ = cells(size=64)
    places = [[10, 10], [30, 20], [50, 12], [20, 50], [40, 44]]
    right = (np.s_[0:64, 32:64],) if testing else ()
    return DottedImage(source, Dots.of(places), None, boxes, right)


def test_nothing_for_testing_is_learned_and_its_counts_are_scored():
    inside = CountedBox((), np.s_[4:40, 36:60], {2: 7})
    outside = CountedBox((), np.s_[4:40, 4:28], {2: 2})
    item = halves(True, (inside, outside))
    trainer = Trainer([item], CELL, QUICK, SMALL)
    task, whole = trainer.task, item.image.whole()
    learned = task.targets.target(0, (), whole, False)
    tested = task.targets.target(0, (), whole, True)
    assert not learned[:, :, 32:].any()
    assert not tested[:, :, :32].any()
    assert learned[0].sum() + tested[0].sum() == pytest.approx(5, abs=1e-4)
    assert {_batch(trainer)[1].turn.box.counts[2] for _ in range(4)} == {2}  # not 7

    # a network that puts out the same everywhere counts what can be said by hand
    level = float(np.log(2) / 4) * task.config.density.peaks[0]

    def same(image):
        return torch.zeros((1, *image.shape[1:]))

    score = task.score(same, (32, 32), held=True)
    errors = [abs(level * 36 * 24 - 7), abs(level * 64 * 32 - tested[0].sum())]
    assert score.details == pytest.approx(
        {"MAE cell": np.mean(errors), "areas": 2}, rel=1e-4
    )
    total = 7 + tested[0].sum()
    assert score.value == pytest.approx(max(0, 1 - sum(errors) / total), abs=1e-4)


def _batch(trainer):
    return trainer.task.batch(4, (32, 32), trainer._augment, torch.device("cpu"))


def test_without_areas_for_testing_a_score_has_no_error_of_counts():
    task = Trainer([halves(False)], CELL, QUICK, SMALL).task
    score = task.score(lambda x: torch.zeros((1, *x.shape[1:])), (32, 32), held=False)
    assert score.details == {}
