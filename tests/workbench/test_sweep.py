"""Counts of a whole sample while the network learns, though only a part is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fcn.config import (
    ClassInfo,
    DensityConfig,
    ModelConfig,
    NetworkConfig,
)
from napari_fcn.data.axes import Axes
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.model import Model
from napari_fcn.networks import build_network
from napari_fcn.project import Project
from napari_fcn.workbench import live
from napari_fcn.workbench.images import add_image
from napari_fcn.workbench.live import LiveNetwork, LiveView
from napari_fcn.workbench.protocol import Look

SHAPE = (2, 200, 136)
SEEN = (slice(20, 60), slice(30, 70))
CLASSES = (ClassInfo(value=2, name="cell"), ClassInfo(value=3, name="spore"))


@pytest.fixture
def watched(bench, monkeypatch):
    """A view of a corner of the second slice, a random network, and what is told."""
    monkeypatch.setitem(live._EDGE, 2, 32)
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    book = bench.workbench
    entry = book.add_image(image, Axes.of("ZYX"), "cells")
    torch.manual_seed(0)
    network = NetworkConfig(width=4, depth=1, out_channels=2)
    density = DensityConfig(widths=((2.0, 2.0), (3.0, 3.0)))
    config = ModelConfig(
        task="density", network=network, classes=CLASSES, density=density
    )
    model = Model(config, build_network(network).eval())
    look = Look(book.project.folder, entry, 2, (1,), SEEN, task="density", whole=True)
    told = []
    now = iter(range(10**6))
    view = LiveView(told.append, lambda: 10.0 * next(now))
    view.look(look)
    return view, look, model, told


def ticks(view, model, step, *, learning=True):
    """Let one round happen."""
    network = LiveNetwork(model, choose_compute("cpu", "float32"), step, learning)
    while view.tick(network):
        pass


def test_the_total_of_a_slice_is_right_for_each_class_while_it_learns(watched, bench):
    view, look, model, told = watched
    rounds = 0
    while not any(event.whole for event in told):
        rounds += 1
        ticks(view, model, 10 + rounds)
        assert told[0].region[0] == slice(1, 2)
        assert told[-1].complete
    assert rounds > 1  # a few tiles at a time, so that it goes on learning
    image = bench.workbench.project.image(look.image.key)
    whole = model.predict(
        np.asarray(look.image.source(look.project, 2).data[1]), axes="YX"
    )
    for plane, info in zip(whole, CLASSES, strict=True):
        density = bench.workbench.prediction(image.key, f"live-density-{info.value}")
        np.testing.assert_allclose(density[1].sum(), plane.sum(), rtol=1e-3)
        assert not np.asarray(density[0]).any()


def test_what_is_seen_comes_in_every_round(watched):
    view, _, model, told = watched
    ticks(view, model, 10)
    seen = [e.region[1:] for e in told]
    told.clear()
    ticks(view, model, 11)
    again = [e.region[1:] for e in told]
    assert seen != again
    visible = [r for r in seen if r in again]
    covered = np.zeros(SHAPE[1:], bool)
    for region in visible:
        covered[region] = True
    assert covered[SEEN].all()


def test_another_view_of_the_slice_goes_on_and_another_slice_begins_anew(watched):
    view, look, model, told = watched
    step = 10
    while not any(event.whole for event in told):
        ticks(view, model, step := step + 1)
    told.clear()
    moved = (slice(100, 140), slice(30, 70))
    view.look(replace(look, region=moved))
    ticks(view, model, step := step + 1)
    assert told[-1].whole
    told.clear()
    view.look(replace(look, sample=(0,)))
    ticks(view, model, step := step + 1)
    assert told[-1].complete
    assert not told[-1].whole


def test_another_project_with_the_same_key_begins_anew(watched, tmp_path):
    view, look, model, told = watched
    step = 10
    while not any(event.whole for event in told):
        ticks(view, model, step := step + 1)
    told.clear()
    project = Project.create(tmp_path / "other")
    pixels = np.random.default_rng(1).random(SHAPE, np.float32)
    image, _ = add_image(project, pixels, Axes.of("ZYX"), "cells")
    assert image == look.image
    view.look(replace(look, project=project.folder))
    ticks(view, model, step := step + 1)
    assert told[-1].complete
    assert not told[-1].whole
    while not any(event.whole for event in told):
        ticks(view, model, step := step + 1)
    whole = model.predict(pixels, axes="ZYX")[:, 1]
    for plane, info in zip(whole, CLASSES, strict=True):
        store = image.prediction(project.folder, f"live-density-{info.value}", "f4")
        np.testing.assert_allclose(store[1], plane, atol=1e-4)


def test_all_at_once_when_it_rests_and_nothing_in_a_huge_slice(watched, monkeypatch):
    view, _, model, told = watched
    ticks(view, model, 10)
    told.clear()
    ticks(view, model, 10, learning=False)
    assert told[-1].whole
    monkeypatch.setattr(live, "_FOLLOWED", 1000)
    told.clear()
    view.restart()
    ticks(view, model, 11)
    assert len(told) <= 4  # the tiles of what is seen
    assert not told[-1].whole
