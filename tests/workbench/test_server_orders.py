"""Orders that reach the engine while it does something else."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from napari_fcn.config import (
    ModelConfig,
    NetworkConfig,
    TrainingConfig,
    classes_from_values,
)
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.store import ChunkStore
from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.engine.model import Model
from napari_fcn.engine.schedule import FLOOR
from napari_fcn.networks import build_network
from napari_fcn.project import Project
from napari_fcn.workbench import protocol
from napari_fcn.workbench.images import add_image
from napari_fcn.workbench.server import Server

SIZE = 48
AXES = Axes.of("ZYX")
NETWORK = NetworkConfig(width=4, depth=1)
VIEW = (slice(0, SIZE), slice(0, SIZE))
MINE, OTHERS = {0, 2}, {7, 8}
"""What the networks of the two projects predict."""


class Window:
    """The window and the pipe to it: gives orders, and notes what it is told.

    When the engine has nothing more to do, it is shut down.
    """

    def __init__(self, *orders) -> None:
        self.told: list = []
        self._orders = deque(orders)
        self._later: list = []

    def when(self, condition, *orders) -> None:
        """Give further orders once something is told, each time after those before."""
        self._later.append((condition, orders))

    def serve(self) -> None:
        """Have a server carry out all orders."""
        Server(self).serve()
        assert not self._later, f"{len(self._later)} orders had no occasion"

    def send(self, event) -> None:
        """Note what the engine tells."""
        self.told.append(event)
        if self._later and self._later[0][0](event):
            self._orders.extend(self._later.pop(0)[1])

    def poll(self, wait) -> bool:
        """Tell whether there is an order."""
        if wait and not self._orders:
            self._orders.append(protocol.Shutdown())
        return bool(self._orders)

    def recv(self):
        """Give an order."""
        return self._orders.popleft()

    def heard(self, kind) -> list:
        """Return what was told of a kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def jobs(self) -> list:
        """Return how jobs ended."""
        return [(e.job, e.reason, e.path) for e in self.heard(protocol.JobFinished)]


def step(number):
    return lambda event: isinstance(event, Stepped) and event.step >= number


@pytest.fixture(autouse=True)
def every_step_is_told(monkeypatch):
    monkeypatch.setattr("napari_fcn.workbench.run._TELL_EVERY", 0.0)


@pytest.fixture
def mine(tmp_path):
    """A project with an image that is painted on."""
    project = Project.create(tmp_path / "mine")
    project.update(
        classes=classes_from_values([1, 2], background=1),
        network=NETWORK,
        training=TrainingConfig(crop=16, batch=2, score_every=1e9),
    )
    paint(project, add(project, "cells"))
    return project


@pytest.fixture
def other(tmp_path):
    """A project with an image and a model, but no run."""
    project = Project.create(tmp_path / "other")
    add(project, "others")
    config = NETWORK.model_copy(update={"out_channels": 2})
    classes = classes_from_values(sorted(OTHERS))
    model = Model(ModelConfig(network=config, classes=classes), build_network(config))
    model.save(project.model)
    return project


def add(project, name, data=None, axes=AXES):
    pixels = samples.blobs(3, SIZE)[0] if data is None else data
    return add_image(project, pixels, axes, name)[0]


def paint(project, image, background=1, cell=2):
    """Paint two stripes, and return where that was."""
    labels = image.labels(project.folder)
    labels[:, :12], labels[:, 30:40] = background, cell
    return protocol.Painted(image.key, labels.flush()[0])


def train(project):
    record = project.record
    return protocol.Train(
        project=project.folder,
        images=record.images[:1],
        classes=record.classes,
        network=record.network,
        training=record.training,
        checkpoint=project.checkpoint,
        model=project.model,
        seconds=15,  # in case that it is not stopped
    )


def look(project):
    return protocol.Look(project.folder, project.record.images[0], 2, (0,), VIEW)


def apply(project, name, model=None):
    out = project.folder / name
    return protocol.Apply(project.folder, project.record.images[0], out, model)


def predicted(path):
    return set(np.unique(ChunkStore.open(path)[...]).tolist())


def test_a_model_that_is_asked_for_in_a_run_is_used_after_it(mine, other):
    """Another project is opened while one trains: no network is used for both."""
    window = Window(train(mine))
    window.when(
        step(6),
        apply(mine, "masks.zarr"),
        protocol.Stop(),
        protocol.UseModel(other.model),
        look(other),
        apply(other, "masks.zarr"),
    )
    window.serve()
    assert [f.reason for f in window.heard(Finished)] == ["stopped"]
    assert [reason for _, reason, _ in window.jobs()] == ["done", "done"]
    assert predicted(mine.folder / "masks.zarr") <= MINE
    assert predicted(other.folder / "masks.zarr") <= OTHERS
    assert {e.key for e in window.heard(protocol.Shown)} == {"others"}
    shown = other.record.images[0].prediction(other.folder)[0]
    assert set(np.unique(shown).tolist()) <= OTHERS


def test_without_a_model_nothing_is_predicted_after_a_run(mine, other):
    window = Window(train(mine))
    window.when(
        step(6),
        protocol.Stop(),
        protocol.UseModel(other.model),
        protocol.UseModel(None, other.checkpoint),
        look(other),
        apply(other, "masks.zarr"),
    )
    window.serve()
    assert [f.reason for f in window.heard(Finished)] == ["stopped"]
    assert not window.heard(protocol.Shown)
    assert not other.record.images[0].prediction(other.folder).painted_chunks()
    (job,) = window.heard(protocol.JobFinished)
    assert job.reason == "failed"
    assert "Nothing is trained yet" in job.message


def test_no_model_takes_the_place_of_one_that_was_shown(other):
    window = Window(protocol.UseModel(other.model), look(other))
    done = apply(other, "masks.zarr")
    window.when(lambda e: isinstance(e, protocol.Shown) and e.complete, done)
    window.when(
        lambda e: isinstance(e, protocol.JobFinished),
        protocol.UseModel(None),
        apply(other, "none.zarr"),
    )
    window.serve()
    assert [reason for _, reason, _ in window.jobs()] == ["done", "failed"]
    assert len(window.heard(protocol.Shown)) == 1


def test_a_damaged_model_leaves_none_of_another_project(other):
    damaged = other.folder / "models" / "damaged.safetensors"
    damaged.write_bytes(b"no model")
    window = Window(
        protocol.UseModel(other.model),
        protocol.UseModel(damaged),
        look(other),
        apply(other, "masks.zarr"),
    )
    window.serve()
    assert "damaged" in window.heard(Message)[0].text
    assert not window.heard(protocol.Shown)
    assert [reason for _, reason, _ in window.jobs()] == ["failed"]


@pytest.mark.parametrize("what", ["stroke", "image"])
def test_what_another_project_tells_is_nothing_to_a_run_that_ends(mine, other, what):
    image = other.record.images[0]
    stroke = paint(other, image)
    told = stroke if what == "stroke" else protocol.NoteImage(image)
    window = Window(train(mine))
    window.when(step(3), protocol.Stop(), told)
    window.serve()
    assert window.heard(Finished) == [Finished("stopped")]


def test_jobs_that_wait_are_cancelled_with_the_one_that_is_done(other, tmp_path):
    first, second = (apply(other, f"{n}.zarr", other.model) for n in (1, 2))
    source = other.folder / "source.zarr"
    ChunkStore.create(source, (3, SIZE, SIZE), "uint8")
    stack = protocol.Export(source, AXES, tmp_path / "stack.png")
    window = Window(first)
    window.when(
        lambda e: isinstance(e, protocol.JobProgress),
        second,
        stack,
        protocol.CancelJob(),
    )
    window.serve()
    expected = [
        ("apply", "cancelled", first.out),
        ("apply", "cancelled", second.out),
        ("export", "cancelled", tmp_path / "stack"),
    ]
    assert sorted(window.jobs()) == expected
    assert not any(path.exists() for _, _, path in expected)


def test_jobs_that_are_sent_after_a_cancel_are_done(other):
    kept = apply(other, "kept.zarr", other.model)
    window = Window(apply(other, "gone.zarr"), protocol.CancelJob(), kept)
    window.serve()
    assert [reason for _, reason, _ in window.jobs()] == ["cancelled", "done"]
    assert predicted(kept.out) <= OTHERS


def test_every_run_that_waits_is_stopped(mine):
    window = Window(train(mine), train(mine), protocol.Stop())
    window.serve()
    assert window.told == [Finished("stopped")] * 2


@pytest.mark.parametrize("axes", ["ZYX", "YXC", "YX"])
def test_an_image_without_a_stroke_leaves_a_run_alone(mine, axes):
    """Also if it could not be learned from together with the first one."""
    shape = {"ZYX": (3, SIZE, SIZE), "YXC": (SIZE, SIZE, 3), "YX": (SIZE, SIZE)}[axes]
    new = add(mine, "new", np.zeros(shape, np.uint8), Axes.of(axes))
    window = Window(train(mine))
    window.when(step(3), protocol.NoteImage(new))
    window.when(step(6), protocol.Stop())
    window.serve()
    assert len(window.heard(Started)) == 1
    assert window.heard(Finished) == [Finished("stopped")]


def test_an_image_joins_a_run_with_its_first_stroke(mine):
    new = add(mine, "new", samples.blobs(2, SIZE)[0])
    erased = paint(mine, new)
    paint(mine, new, 0, 0)
    assert not new.labels(mine.folder).painted_chunks()
    window = Window(train(mine))
    window.when(step(3), erased)  # undone before the engine has looked
    window.when(step(6), protocol.NoteImage(new))
    window.when(lambda e: step(9)(e) and paint(mine, new), protocol.NoteImage(new))
    window.when(lambda e: isinstance(e, Started), protocol.NoteImage(new))
    window.when(step(12), protocol.Stop())
    window.serve()
    assert len(window.heard(Started)) == 2
    assert window.heard(Finished) == [Finished("stopped")]


def test_areas_for_testing_reach_a_run(mine):
    (image,) = mine.record.images
    box = ((0, 1), (0, SIZE), (0, SIZE))
    window = Window(train(mine))
    changed = image.model_copy(update={"testing": (box,)})
    window.when(step(3), protocol.NoteImage(changed))
    window.when(lambda e: isinstance(e, Started))  # it has begun again
    window.when(step(6), protocol.Stop())
    window.serve()
    assert window.heard(Finished) == [Finished("stopped")]


class PatientWindow(Window):
    """It gives further orders whenever the engine waits, and gives up at step 40."""

    def __init__(self, *orders, when_it_waits) -> None:
        super().__init__(*orders)
        self._next = deque(when_it_waits)

    def poll(self, wait) -> bool:
        """Tell whether there is an order."""
        if wait and not self._orders and self._next:
            self._orders.append(self._next.popleft()())
        return super().poll(wait)

    def send(self, event) -> None:
        """Note what the engine tells."""
        super().send(event)
        if step(40)(event):
            self._orders.append(protocol.Shutdown())


def test_what_is_learned_rests_until_something_is_painted(mine, monkeypatch):
    monkeypatch.setattr(
        "napari_fcn.engine.trainer.settling_factor",
        lambda since: FLOOR if since >= 2 else 1.0,
    )
    mine.update(network=NetworkConfig(photo_features=False))
    image = mine.record.images[0]

    def correct():
        labels = image.labels(mine.folder)
        labels[0, 40:44] = 1
        return protocol.Painted(image.key, labels.flush()[0])

    endless = replace(train(mine), seconds=None)
    window = PatientWindow(endless, when_it_waits=[correct])
    window.serve()
    told = [e.text for e in window.heard(Message)]
    assert sum("is learned" in text for text in told) == 2
    assert 5 <= max(e.step for e in window.heard(Stepped)) <= 10
    assert len(window.heard(protocol.Rested)) == 2
    assert mine.model.is_file()
    assert window.heard(Finished)[-1].reason == "stopped"


def test_what_it_rests_on_is_scored_again_where_it_is_not_learned(mine, monkeypatch):
    """As for strokes that are for testing only."""
    monkeypatch.setattr("napari_fcn.engine.trainer.settling_factor", lambda _: FLOOR)
    mine.update(network=NetworkConfig(photo_features=False))
    image = mine.record.images[0]
    region = (slice(0, 1), slice(0, SIZE), slice(0, SIZE))
    window = PatientWindow(
        replace(train(mine), seconds=None),
        when_it_waits=[lambda: protocol.Painted(image.key, region)],
    )
    window.serve()
    kinds = [type(e) for e in window.told if isinstance(e, Scored | protocol.Rested)]
    assert kinds == [Scored, protocol.Rested, Scored, Scored]
    assert max(e.step for e in window.heard(Stepped)) == 1
