"""Where to paint next, going back to earlier networks, strokes of other projects."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from napari_fcn.config import ClassInfo, ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.store import ChunkStore
from napari_fcn.engine.checkpoint import latest_model
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.events import Message
from napari_fcn.engine.model import Model, load_model
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network
from napari_fcn.project.snapshots import snapshots
from napari_fcn.workbench.importing import take_from_project
from napari_fcn.workbench.live import LiveNetwork
from napari_fcn.workbench.live_stores import COMPARED
from napari_fcn.workbench.protocol import Suggest
from napari_fcn.workbench.session import Workbench
from napari_fcn.workbench.suggest import run_suggest

AXES = Axes.of("ZYX")
PIXELS = np.random.default_rng(0).integers(0, 255, (4, 96, 96)).astype(np.uint8)


@pytest.fixture
def book(tmp_path):
    workbench = Workbench(tmp_path / "home")
    yield workbench
    workbench.close()


@pytest.fixture
def network():
    config = NetworkConfig(width=4, depth=1, out_channels=2)
    model = Model(
        ModelConfig(network=config, classes=classes_from_values([1, 2])),
        build_network(config).eval(),
    )
    return LiveNetwork(model, choose_compute("cpu"), 10, learning=False)


def ask(book, network, before=(), seed=0):
    told = []
    project = book.project
    command = Suggest(project.folder, project.record.images, tuple(before), seed)
    run_suggest(command, network, told.append, lambda: None)
    assert len(told) == 1
    return told[0]


def test_places_are_unpainted_and_spread_over_images_and_slices(book, network):
    entries = [book.add_image(PIXELS, AXES, "one")]
    entries.append(book.add_image(PIXELS[:, :64], AXES, "two"))
    book.labels(entries[0].key)[0] = 1
    book.flush()
    before = []
    for seed in range(8):
        place = ask(book, network, before, seed)
        assert 0 < place.doubt <= 1
        labels = book.labels(place.key)
        assert not labels[place.region].any()
        assert not (place.key == entries[0].key and place.region[0].start == 0)
        before.append((place.key, place.region))
    assert {key for key, _ in before} == {e.key for e in entries}
    assert len({(key, region[0].start) for key, region in before}) >= 5


def test_asked_again_it_goes_on_though_nothing_was_painted(book, network):
    stack = book.add_image(PIXELS, AXES, "stack")
    before = [(stack.key, (slice(0, 1), slice(5, 6), slice(5, 6)))] * 3
    flat = book.add_image(PIXELS[0], Axes.of("YX"), "flat")
    places = []
    for seed in range(12):
        place = ask(book, network, before, seed)
        before.append((place.key, place.region))
        if place.key == flat.key:
            places.append([part.start for part in place.region])
            reach = place.reach
    assert len(places) >= 4
    away = [np.subtract(a, b) for a, b in combinations(places[:4], 2)]
    assert min(np.hypot(*step) for step in away) > reach / 2


def test_where_nothing_is_to_be_learned_the_next_image_is_looked_at(book, network):
    for number in range(3):
        painted = book.add_image(PIXELS[0], Axes.of("YX"), f"painted {number}")
        book.labels(painted.key)[...] = 1
    free = book.add_image(PIXELS[1], Axes.of("YX"), "free")
    book.flush()
    assert {ask(book, network, seed=seed).key for seed in range(6)} == {free.key}


def test_without_a_network_or_with_all_painted_it_is_said(book, network):
    entry = book.add_image(PIXELS, AXES, "one")
    said = ask(book, None)
    assert isinstance(said, Message)
    assert "Train first" in said.text
    book.labels(entry.key)[...] = 1
    book.flush()
    assert isinstance(ask(book, network), Message)


def test_strokes_of_another_project(book, tmp_path):
    other = Workbench(tmp_path / "other")
    entry = other.add_image(PIXELS, AXES, "cells")
    other.set_classes(
        (
            ClassInfo(value=1, name="ground", background=True),
            ClassInfo(value=2, name="nucleus"),
            ClassInfo(value=5, name="debris"),
        )
    )
    for value in (1, 2, 5):
        other.labels(entry.key)[1, 10 * value : 10 * value + 5] = value
    other.close()
    mine = book.add_image(PIXELS, AXES, "cells")
    classes = (
        ClassInfo(value=1, name="background", background=True),
        ClassInfo(value=2, name="debris"),
    )
    store = book.labels(mine.key)
    store[1, 10:12] = 2
    folder = other.project.folder
    painted, found = take_from_project(folder, mine, store, classes)
    assert painted == (3 + 5 + 5) * 96
    assert [(c.value, c.name) for c in found] == [
        (1, "background"), (2, "debris"), (3, "nucleus")
    ]  # fmt: skip
    assert [int(store[1, y, 0]) for y in (10, 12, 20, 50)] == [2, 1, 3, 2]
    store.undo()
    assert [int(store[1, y, 0]) for y in (10, 12, 20, 50)] == [2, 0, 0, 0]
    third = book.add_image(PIXELS[:2], AXES, "else")
    with pytest.raises(UserError, match="no image like else"):
        take_from_project(folder, third, book.labels(third.key), classes)
    with pytest.raises(UserError, match="no project"):
        take_from_project(tmp_path, mine, store, classes)


def test_training_keeps_snapshots_and_goes_on_from_an_earlier_one(bench):
    book = bench.workbench
    entry, _, _ = bench.open_blobs()
    whole = tuple((0, n) for n in entry.label_shape)
    box = ((0, 2), *whole[1:])
    book.set_testing(entry, (box,))
    book.train()
    bench.until(lambda: book.status.step >= 5, "steps")
    book.suggest()
    places = []
    book.suggested.connect(places.append)
    bench.until(lambda: places, "a place")
    assert places[0].key == entry.key
    book.stop()
    bench.until(lambda: bench.finished, "the end")
    assert bench.scored[-1].held_out
    first = snapshots(book.project)
    assert len(first) == 1
    book.train()
    bench.until(lambda: book.status.step > first[0].steps + 3, "further steps")
    book.return_to(first[0])  # ends the run, and keeps it, too
    bench.until(lambda: len(bench.finished) == 2, "the end")
    assert len(snapshots(book.project)) == 2
    assert not book.project.checkpoint.exists()
    kept = load_model(book.project.model).config.training["steps"]
    assert kept == first[0].steps
    compared = []
    book.compared.connect(compared.append)
    region = (slice(8, 72), slice(0, 96))
    book.look(entry, (1,), region)
    book.compare(first[0].path, None)
    bench.until(lambda: compared, "the comparison")
    assert compared[0].region == (slice(1, 2), *region)
    assert compared[0].differing == 0  # it is the same network
    stores = [entry.prediction(book.project.folder, name) for name in COMPARED]
    assert np.asarray(stores[0]).any()
    np.testing.assert_array_equal(*stores)
    book.look(entry, (2,), region)
    book.compare(*(s.path for s in snapshots(book.project)))
    bench.until(lambda: len(compared) == 2, "the comparison")
    first_one, other = (np.asarray(s)[compared[1].region] for s in map(_again, stores))
    assert compared[1].differing == (first_one != other).mean()
    assert not np.asarray(_again(stores[0]))[1].any()  # of the networks before
    bench.said.clear()
    bench.steps.clear()
    book.train()
    bench.until(lambda: bench.steps, "steps from the snapshot")
    assert not any("Going on" in text for text in bench.said)


def _again(store):
    return ChunkStore(store.array)


def test_images_and_what_is_for_testing_join_a_run_that_goes_on(bench):
    book = bench.workbench
    _, image, truth = bench.open_blobs()
    book.train()
    bench.until(lambda: book.status.step >= 3, "steps")
    second = book.add_image(image[:2], Axes.of("ZYX"), "second")
    book.labels(second.key)[...] = samples.strokes(truth[:2], 18)
    bench.until(lambda: any("Going on" in text for text in bench.said), "the second")
    step = book.status.step
    whole = tuple((0, n) for n in second.label_shape)
    book.set_testing(second, (whole,))
    bench.until(lambda: bench.scored[-1:] and bench.scored[-1].held_out, "a score")
    bench.until(lambda: book.status.step > step, "steps")
    assert not bench.finished  # it is one run
    book.stop()
    bench.until(lambda: bench.finished, "the end")
    # what was only in a checkpoint is shown after a crash
    book.close()
    book.project.model.unlink()
    model = latest_model(book.project.model, book.project.checkpoint)
    assert model.config.network.width == 8
    with pytest.raises(UserError):
        latest_model(book.project.model)
