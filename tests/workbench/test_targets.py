"""Counting and image to image with a real engine: dots, boxes, targets of a project."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import (
    ClassInfo,
    CountingSettings,
    ImageSettings,
    NetworkConfig,
    TrainingConfig,
)
from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.targets import Area, CountBox, Dot, read_targets
from napari_fcn.widgets.count_view import place_name
from napari_fcn.widgets.words import score_text
from napari_fcn.workbench.count_sums import live_counts
from napari_fcn.workbench.items import item_of
from napari_fcn.workbench.live_stores import places_of
from napari_fcn.workbench.status import Status

SIZE = 96
CLASSES = (
    ClassInfo(value=1, name="background", background=True),
    ClassInfo(value=2, name="cell"),
)


def spots(number=24, seed=0):
    """Bright spots on a dark ground, and where they are."""
    random = np.random.default_rng(seed)
    places = random.uniform(6, SIZE - 6, (number, 2))
    grid = np.mgrid[:SIZE, :SIZE]
    image = random.normal(0.1, 0.02, (SIZE, SIZE))
    for place in places:
        image += np.exp(-((grid - place[:, None, None]) ** 2).sum(0) / (2 * 2.0**2))
    return image.astype(np.float32), places


def look_anew(bench, entry):
    """Have the whole image predicted once more, with the network as it is now."""
    bench.workbench.look_away()
    bench.workbench.poll()
    bench.shown.clear()
    bench.workbench.look(entry, (), (slice(0, SIZE), slice(0, SIZE)))
    bench.until(lambda: any(e.complete for e in bench.shown), "a picture")


@pytest.fixture
def counting(bench):
    """A bench on which a dotted image of spots waits to be trained on."""
    image, places = spots()
    book = bench.workbench
    entry = book.add_image(image, Axes.of("YX"), "spots")
    book.project.update(
        classes=CLASSES,
        network=NetworkConfig(width=8, depth=2),
        training=TrainingConfig(crop=48, batch=4, score_every=1.0),
        counting=CountingSettings(sizes={2: 8.0}),
    )
    book.set_task("density")
    book.annotate(entry.key, dots=tuple(Dot(place=p, value=2) for p in places))
    return bench, entry, places


def test_dots_are_on_disk_before_the_engine_hears_of_them(counting):
    bench, entry, places = counting
    folder = bench.workbench.project.folder
    kept = read_targets(folder, entry.key)
    np.testing.assert_allclose([d.place for d in kept.dots], places)
    assert Project.open(folder).record.task == "density"


def test_counting_from_dots_to_a_table(counting, tmp_path):
    bench, entry, places = counting
    book = bench.workbench
    box = CountBox(corners=((0, 0), (0, 47), (95, 47), (95, 0)))
    book.annotate(entry.key, boxes=(box,))
    told = []
    book.calibrated.connect(told.append)
    book.train()
    book.look(entry, (), (slice(0, SIZE), slice(0, SIZE)))
    bench.until(lambda: book.status.step >= 150, "steps")
    bench.until(lambda: any(e.complete for e in bench.shown), "a density")
    bench.until(lambda: told, "how far counts are from the truth")
    assert told[-1].error.scatter > 0
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")
    look_anew(bench, entry)
    density = np.asarray(book.prediction(entry.key, "live-density-2")[...])
    assert density.sum() == pytest.approx(len(places), rel=0.3)
    book.apply(entry)
    bench.until(lambda: bench.jobs, "the whole image")
    assert bench.jobs[-1].reason == "done"
    target = tmp_path / "counts.csv"
    book.export(entry, target)
    rows = [line.split(",") for line in target.read_text().splitlines()]
    total, left = (float(row[4]) for row in rows[1:])
    assert total == pytest.approx(density.sum(), rel=0.01)
    assert left == pytest.approx(density[:, :48].sum(), rel=0.01)
    book.export(entry, tmp_path / "density.tif")
    bench.until((tmp_path / "density.tif").exists, "the file")


def test_typed_counts_reach_a_run_and_move_it(counting):
    """The right half is empty of dots but said to hold twice what is there."""
    bench, entry, places = counting
    book = bench.workbench
    corners = ((0, 0), (0, 47), (95, 47), (95, 0))
    book.annotate(entry.key, dotted=(Area(form="rectangle", corners=corners),))
    book.train()
    whole = (slice(0, SIZE), slice(0, SIZE))
    book.look(entry, (), whole)
    bench.until(lambda: book.status.step >= 100, "steps")

    def right():
        look_anew(bench, entry)
        density = np.asarray(book.prediction(entry.key, "live-density-2")[...])
        return float(density[:, 48:].sum())

    before = right()
    there = int((places[:, 1] >= 47.5).sum())
    box = CountBox(
        corners=((0, 48), (0, 95), (95, 95), (95, 48)), counts={2: 3.0 * there}
    )
    book.annotate(entry.key, boxes=(box,))
    step = book.status.step
    bench.until(lambda: book.status.step >= step + 120, "steps with the box")
    after = right()
    assert abs(after - 3 * there) < abs(before - 3 * there)
    assert after > before + 0.3 * there


def begun_again(bench):
    return [text for text in bench.said if text.startswith("Going on from")]


def test_only_what_teaches_something_joins_a_run(counting):
    """A box without a count does not; with one, the image around it is no ground."""
    bench = counting[0]
    book = bench.workbench
    image, places = spots(seed=1)
    other = book.add_image(image, Axes.of("YX"), "other")
    box = CountBox(corners=((0, 0), (0, 47), (95, 47), (95, 0)))
    book.train()
    bench.until(lambda: book.status.step >= 60, "steps")
    book.annotate(other.key, boxes=(box,))
    bench.until(lambda: book.status.step >= 80, "steps after the box")
    assert not begun_again(bench)
    there = float((places[:, 1] < 47.5).sum())
    counted = box.model_copy(update={"counts": {2: there}})
    book.annotate(other.key, boxes=(counted,))
    bench.until(lambda: begun_again(bench), "a run with the other image")
    step = book.status.step
    bench.until(lambda: book.status.step >= step + 60, "steps with it")
    look_anew(bench, other)
    density = np.asarray(book.prediction(other.key, "live-density-2")[...])
    assert density.sum() > 0.6 * len(places)


def test_taking_all_dots_away_leaves_nothing_to_learn_from(counting):
    bench, entry, _ = counting
    book = bench.workbench
    book.annotate(entry.key, dots=())
    item = item_of(book.project.folder, entry, 2, "density")
    assert not item.annotated().any()
    with pytest.raises(UserError, match="no dot yet"):
        book.train()
    corners = ((0, 0), (0, 47), (95, 47), (95, 0))
    book.annotate(entry.key, dotted=(Area(form="rectangle", corners=corners),))
    item = item_of(book.project.folder, entry, 2, "density")
    assert item.annotated()[:, :48].all()


def test_in_3d_what_is_drawn_on_a_plane_goes_through_the_volume(bench):
    book = bench.workbench
    volume = np.zeros((8, 32, 32), np.float32)
    entry = book.add_image(volume, Axes.of("ZYX"), "volume")
    book.project.update(classes=CLASSES, network=NetworkConfig(ndim=3))
    book.set_task("density")
    corners = ((3, 0, 0), (3, 0, 15), (3, 31, 15), (3, 31, 0))
    book.annotate(
        entry.key,
        dots=(Dot(place=(2, 5, 5), value=2),),
        dotted=(Area(form="rectangle", corners=corners),),
        boxes=(CountBox(corners=corners, counts={2: 4}),),
    )
    item = item_of(book.project.folder, entry, 3, "density")
    assert item.annotated().sum(axis=(1, 2)).tolist() == [32 * 16] * 8
    assert item.boxes[0].region == (slice(0, 8), slice(0, 32), slice(0, 16))
    seen = ((), (slice(3, 4), slice(0, 32), slice(0, 32)))
    found = live_counts(book, entry, seen, 3, whole=True)
    assert [place_name(c.place) for c in found] == [
        "in view, plane",
        "this volume",
        "box 1",
    ]


def test_changing_the_task_touches_no_other_target(counting):
    bench, entry, _ = counting
    book = bench.workbench
    book.labels(entry.key)[10:20, 10:20] = 2
    book.flush()
    kept = read_targets(book.project.folder, entry.key)
    for task in ("regression", "segmentation", "density"):
        book.set_task(task)
        assert read_targets(book.project.folder, entry.key) == kept
        assert (entry.labels(book.project.folder)[10:20, 10:20] == 2).all()


def test_each_task_keeps_a_model_of_its_own(counting):
    book = counting[0].workbench
    density = book.project.model
    book.set_task("segmentation")
    assert book.project.model != density
    assert book.project.model.name == "model.safetensors"


@pytest.mark.parametrize("task", ["density", "regression"])
def test_nothing_to_learn_from_is_said(bench, task):
    book = bench.workbench
    book.add_image(np.zeros((32, 32), np.uint8), Axes.of("YX"), "empty")
    book.set_task(task)
    with pytest.raises(UserError, match=r"no dot yet|no target yet"):
        book.train()


def test_images_in_units_of_the_target(bench):
    image, _ = spots()
    target = 500 + 200 * image
    book = bench.workbench
    entry = book.add_image(image, Axes.of("YX"), "phase")
    book.project.update(
        network=NetworkConfig(width=8, depth=2),
        training=TrainingConfig(crop=48, batch=4, score_every=1.0),
    )
    book.set_task("regression")
    book.add_target(entry, target, Axes.of("YX"), "stain")
    with pytest.raises(UserError, match="choose the target of this image"):
        book.add_target(entry, target[:50], Axes.of("YX"), "other")
    assert book.targets(entry.key).outputs == ("stain",)
    book.train()
    book.look(entry, (), (slice(0, SIZE), slice(0, SIZE)))
    bench.until(lambda: book.status.step >= 150, "steps")
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")
    assert bench.scored[-1].per_class["stain"] > 0.8
    look_anew(bench, entry)
    found = np.asarray(book.prediction(entry.key, "live-regression-0")[...])
    assert np.abs(found - target).mean() < 40
    book.apply(entry)
    bench.until(lambda: bench.jobs, "the whole image")
    assert bench.jobs[-1].reason == "done", bench.jobs


def test_a_trusted_area_of_an_image_without_a_target_leaves_the_run_alone(bench):
    image, _ = spots()
    book = bench.workbench
    entry = book.add_image(image, Axes.of("YX"), "phase")
    other = book.add_image(image, Axes.of("YX"), "other")
    book.project.update(
        network=NetworkConfig(width=8, depth=1),
        training=TrainingConfig(crop=32, batch=2, score_every=1.0),
    )
    book.set_task("regression")
    book.add_target(entry, 1 - image, Axes.of("YX"), "stain")
    book.train()
    bench.until(lambda: book.status.step >= 10, "steps")
    corners = ((0, 0), (0, 47), (95, 47), (95, 0))
    book.annotate(other.key, trusted=(Area(form="rectangle", corners=corners),))
    step = book.status.step
    bench.until(lambda: book.status.step >= step + 20, "steps after the area")
    assert book.status.state == "training"
    assert not bench.finished
    assert not begun_again(bench)


def two_images(book, names, seeds=(0, 1)):
    """Images with a bright and a dark target each, in the order of their names."""
    entries = []
    for seed, mine in zip(seeds, names, strict=True):
        image, _ = spots(seed=seed)
        made = {"bright": 500 + 200 * image, "dark": 90 - 40 * image}
        entry = book.add_image(image, Axes.of("YX"), f"image {seed}")
        entries.append(entry)
        for name in mine:
            key = next((k for k in made if name.startswith(k)), "bright")
            book.add_target(entry, made[key], Axes.of("YX"), name)
    book.project.update(
        network=NetworkConfig(width=8, depth=2),
        training=TrainingConfig(crop=48, batch=4, score_every=1.0),
    )
    book.set_task("regression")
    return entries


def test_targets_added_in_another_order_are_put_in_that_of_the_first(bench):
    book = bench.workbench
    names = [("bright", "dark"), ("dark", "bright")]
    for entry in two_images(book, names):
        assert book.targets(entry.key).outputs == ("bright", "dark")
        kept = read_targets(book.project.folder, entry.key)
        assert kept.outputs == ("bright", "dark")
        assert kept.targets[0].source(book.project.folder, 2).read(
            (), (slice(0, SIZE), slice(0, SIZE))
        ).mean() == pytest.approx(520, abs=20)


def test_targets_of_an_old_project_are_learned_by_their_names(bench):
    book = bench.workbench
    _, other = two_images(book, [("bright", "dark")] * 2)
    swapped = book.targets(other.key).targets[::-1]
    book.annotate(other.key, targets=swapped)
    assert book.targets(other.key).outputs == ("dark", "bright")
    book.train()
    assert book.targets(other.key).outputs == ("bright", "dark")
    bench.until(lambda: book.status.step >= 150, "steps")
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")
    scores = bench.scored[-1].per_class
    assert set(scores) == {"bright", "dark"}
    assert min(scores.values()) > 0.8


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["bright of 0"], ["bright of 1"]),
        (["bright"], ["stain"]),
        (["bright of 0", "dark of 0"], ["bright of 1", "dark of 1"]),
        (["bright", "dark of 0"], ["bright", "dark of 1"]),
        (["bright", "bright"], ["bright", "dark"]),
    ],
)
def test_targets_may_be_called_after_their_images(bench, first, second):
    book = bench.workbench
    entries = two_images(book, [first, second])
    book.order_targets(entries)
    assert [book.targets(e.key).outputs for e in entries] == [
        tuple(first),
        tuple(second),
    ]


@pytest.mark.parametrize("second", [["dark", "other"], ["dark"]])
def test_a_target_in_the_place_of_another_is_refused(bench, second):
    book = bench.workbench
    two_images(book, [["bright", "dark"], second])
    with pytest.raises(UserError, match="give both the same targets, called alike"):
        book.train()
    assert book.status.state == "ready"


def test_predictions_go_with_their_names_when_a_target_is_removed(bench):
    book = bench.workbench
    (entry,) = two_images(book, [("bright", "dark")], (0,))
    book.train()
    bench.until(lambda: book.status.step >= 150, "steps")
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")

    def level(number):
        look_anew(bench, entry)
        return np.asarray(book.prediction(entry.key, f"live-regression-{number}")[...])

    assert level(0).mean() > 400
    assert level(1).mean() < 100
    book.remove_targets(entry.key, {0})
    assert 50 < level(0).mean() < 100
    data = np.zeros((SIZE, SIZE), np.float32)
    book.add_target(entry, data, Axes.of("YX"), "not learned yet")
    assert 50 < level(0).mean() < 100
    assert not level(1).any()


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ((), [0, 1]),
        (("a", "b"), [0, 1]),
        (("b", "a"), [1, 0]),
        (("b",), [1]),
        (("a", "b of 2"), [0, 1]),
        (("b", "c"), [1, None]),
        (("c", "d"), [0, 1]),
        (("c",), [None]),
        (("a", "b", "c"), [0, 1, None]),
    ],
)
def test_which_output_is_which_image(wanted, places):
    assert places_of(("a", "b"), wanted) == places
    assert places_of(("a", "a"), ("a", "a")) == [0, 1]


def test_targets_that_are_learned_stay_until_the_run_has_ended(bench):
    book = bench.workbench
    one, other = two_images(book, [("bright",), ()])
    book.train()
    bench.until(lambda: book.status.step >= 3, "steps")
    data = np.zeros((SIZE, SIZE), np.float32)
    with pytest.raises(UserError, match="Stop the training"):
        book.add_target(one, data, Axes.of("YX"), "dark")
    with pytest.raises(UserError, match="Stop the training"):
        book.remove_targets(one.key, {0})
    assert book.targets(one.key).outputs == ("bright",)
    book.add_target(other, data, Axes.of("YX"), "bright")  # it joins the run
    step = book.status.step
    bench.until(lambda: book.status.step >= step + 5, "more steps")
    assert book.status.state == "training"
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")
    book.add_target(one, data, Axes.of("YX"), "dark")
    book.remove_targets(one.key, {0})
    assert book.targets(one.key).outputs == ("dark",)


def test_noise_is_learned_without_a_target(bench):
    image, _ = spots()
    book = bench.workbench
    noisy = image + np.random.default_rng(1).normal(0, 0.2, image.shape)
    entry = book.add_image(noisy.astype(np.float32), Axes.of("YX"), "noisy")
    book.project.update(
        network=NetworkConfig(width=8, depth=2),
        training=TrainingConfig(crop=48, batch=4, score_every=1.0),
        image_to_image=ImageSettings(loss="noise2void"),
    )
    book.set_task("regression")
    book.train()
    book.look(entry, (), (slice(0, SIZE), slice(0, SIZE)))
    bench.until(lambda: book.status.step >= 150, "steps")
    bench.until(lambda: any(e.complete for e in bench.shown), "an image")
    book.stop()
    bench.until(lambda: book.status.state == "ready", "the end")
    look_anew(bench, entry)
    found = np.asarray(book.prediction(entry.key, "live-regression-0")[...])
    assert ((found - image) ** 2).mean() < 0.5 * ((noisy - image) ** 2).mean()


def test_areas_for_testing_score_the_counts(counting):
    bench, entry, places = counting
    book = bench.workbench
    book.set_testing(entry, (((0, SIZE), (48, SIZE)),))
    book.train()
    bench.until(lambda: book.status.score is not None, "a score")
    details = book.status.details
    assert details["areas"] == 1
    # before it has learned much it is off by something, but not by nonsense
    there = (places[:, 1] >= 47.5).sum()
    assert 0 < details["MAE cell"] < 10 * there
    assert "In the area for testing, counts are off by" in score_text(
        book.status, "density"
    )


def test_areas_for_testing_score_images(bench):
    image, _ = spots()
    book = bench.workbench
    entry = book.add_image(image, Axes.of("YX"), "blurred")
    book.project.update(
        network=NetworkConfig(width=8, depth=1),
        training=TrainingConfig(crop=32, batch=2, score_every=0.5),
    )
    book.set_task("regression")
    target = np.where(np.arange(SIZE) < 48, image, 1 - image).astype(np.float32)
    book.add_target(entry, target, Axes.of("YX"), "sharp", None)
    entry = book.set_testing(entry, (((0, SIZE), (48, SIZE)),))
    book.train()
    # what is tested is upside down, so what is learned on the left is wrong there
    bench.until(lambda: book.status.step >= 60, "steps")
    bench.until(lambda: len(bench.scored) > 2, "scores")
    event = bench.scored[-1]
    assert event.held_out
    assert event.score < 0.1
    assert {"PSNR", "SSIM"} <= set(event.details)


def test_words_on_several_classes_and_areas():
    details = {"MAE cell": 1.26, "MAE spore": 0.4, "areas": 3.0}
    status = Status(score=0.9, details=details)
    assert score_text(status, "density") == (
        "In 3 areas for testing, counts are off by 1.3 (cell), 0.4 (spore) on average; "
        "right to 90%"
    )
    assert "areas it has never seen" in score_text(Status(score=0.9), "density")
