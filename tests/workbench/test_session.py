"""The workbench with a real engine in its own process."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import tifffile
import torch
from tests.engines import NoEngine
from tests.models import put_model

from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.readers import open_image
from napari_fcn.data.store import ChunkStore
from napari_fcn.engine.events import Finished
from napari_fcn.engine.model import Model, load_model
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array
from napari_fcn.networks import build_network
from napari_fcn.project.snapshots import keep_snapshot, snapshots
from napari_fcn.workbench.session import Workbench


def view(bench, entry, sample=(0,), size=96):
    region = (slice(0, size), slice(0, size))
    bench.workbench.look(entry, sample, region)


def train_until(bench, steps: int) -> None:
    bench.workbench.train()
    bench.until(lambda: bench.workbench.status.step >= steps, f"{steps} steps")


def train_and_stop(bench) -> None:
    train_until(bench, 5)
    bench.workbench.stop()
    bench.until(lambda: bench.finished, "the end of the run")


def test_the_whole_job(bench, tmp_path):
    workbench = bench.workbench
    workbench.start_engine()
    entry, image, _truth = bench.open_blobs()
    view(bench, entry)
    train_until(bench, 20)
    bench.until(lambda: len(bench.shown) >= 2, "two refreshes of the view")
    first = workbench.prediction(entry.key)[0]
    assert set(np.unique(first)) <= {0, 2, 3}
    assert len(np.unique(first)) > 1
    # another slice is predicted as soon as it is looked at
    view(bench, entry, (2,))
    bench.until(lambda: bench.shown[-1].region[0] == slice(2, 3), "the other slice")
    assert workbench.prediction(entry.key)[2].any()
    workbench.stop()
    bench.until(lambda: bench.finished, "the end of the run")
    assert [f.reason for f in bench.finished] == ["stopped"]
    assert workbench.status.state == "ready"
    model = load_model(workbench.project.model)
    assert [c.value for c in model.config.classes] == [1, 2, 3]
    assert bench.scored

    workbench.apply(entry)
    bench.until(lambda: bench.jobs, "applying")
    masks = workbench.prediction(entry.key, "masks")[...]
    np.testing.assert_array_equal(masks, model.predict(image, axes="ZYX"))
    target = tmp_path / "masks.tif"
    workbench.export(entry, target)
    bench.until(lambda: len(bench.jobs) == 2, "exporting")
    assert [j.reason for j in bench.jobs] == ["done", "done"]
    opened = open_image(target)
    np.testing.assert_array_equal(np.asarray(opened.data), masks)
    assert opened.axes.names == "ZYX"
    assert opened.axes.scale == pytest.approx((2.0, 0.5, 0.5))
    assert tifffile.imread(target).shape == masks.shape
    workbench.export(entry, tmp_path / "stack.png")
    bench.until(lambda: len(bench.jobs) == 3, "exporting a stack")
    assert bench.jobs[-1].path == tmp_path / "stack"
    assert len(list(bench.jobs[-1].path.iterdir())) == len(masks)


def test_pause_resume_and_strokes_while_training(bench):
    workbench = bench.workbench
    workbench.start_engine()
    entry, _, _truth = bench.open_blobs()
    train_until(bench, 5)
    workbench.pause()
    bench.until(lambda: workbench.status.state == "paused", "the pause")
    step = workbench.status.step
    end = time.monotonic() + 1
    bench.until(lambda: time.monotonic() > end, "a second of pause")
    assert workbench.status.step == step
    # while paused, what is looked at is predicted at once
    view(bench, entry)
    bench.until(lambda: bench.shown, "a prediction during the pause")
    workbench.train()
    bench.until(lambda: workbench.status.state == "training", "going on")
    bench.until(lambda: workbench.status.step > step, "more steps")
    workbench.stop()
    bench.until(lambda: bench.finished, "the end")
    assert len(bench.finished) == 1


def test_a_class_painted_later_is_learned(bench):
    workbench = bench.workbench
    workbench.start_engine()
    entry, _, _truth = bench.open_blobs(paint=False)
    store = workbench.labels(entry.key)
    store[0, :20, :40], store[0, 60:80, :40] = 1, 2
    train_until(bench, 5)
    assert any("nucleus" in text for text in bench.said)
    store[1, :20, :40] = 3
    view(bench, entry)
    bench.until(lambda: workbench.status.step >= 25, "further steps")
    bench.until(
        lambda: (
            any("step" in text for text in bench.said)
            or any("anew" in text for text in bench.said)
        ),
        "word of going on",
    )
    workbench.stop()
    bench.until(lambda: bench.finished, "the end")
    assert len(bench.finished) == 1
    model = load_model(workbench.project.model)
    assert [c.value for c in model.config.classes] == [1, 2, 3]


def test_a_killed_engine_is_noticed_and_goes_on(bench):
    workbench = bench.workbench
    workbench.start_engine()
    entry, _, _ = bench.open_blobs()
    train_until(bench, 5)
    workbench.pause()  # a pause writes the checkpoint
    bench.until(lambda: workbench.project.checkpoint.is_file(), "the checkpoint")
    workbench.train()
    bench.until(lambda: workbench.status.state == "training", "going on")
    painted = workbench.labels(entry.key)[...]
    os.kill(workbench.engine_pid, signal.SIGKILL)
    bench.until(lambda: workbench.status.state == "dead", "the death")
    assert [f.reason for f in bench.finished] == ["failed"]
    assert sum("labels are safe" in text for text in bench.said) == 1
    workbench.train()
    bench.until(
        lambda: any("Going on from step" in text for text in bench.said), "going on"
    )
    step = workbench.status.step
    bench.until(lambda: workbench.status.step > step, "steps after the restart")
    np.testing.assert_array_equal(workbench.labels(entry.key)[...], painted)


def test_an_engine_that_starts_again_knows_the_network(bench):
    workbench = bench.workbench
    entry, image, _ = bench.open_blobs()
    train_and_stop(bench)
    os.kill(workbench.engine_pid, signal.SIGKILL)
    bench.until(lambda: workbench.status.state == "dead", "the death")
    workbench.start_engine()
    view(bench, entry)
    bench.until(lambda: bench.shown, "the prediction")
    workbench.apply(entry)
    bench.until(lambda: bench.jobs, "applying")
    assert [job.reason for job in bench.jobs] == ["done"]
    masks = workbench.prediction(entry.key, "masks")[...]
    model = load_model(workbench.project.model)
    np.testing.assert_array_equal(masks, model.predict(image, axes="ZYX"))


def test_another_project_does_not_get_the_network_of_the_first(bench):
    workbench = bench.workbench
    _, image, _ = bench.open_blobs()
    train_and_stop(bench)
    workbench.create_project("other")
    entry = workbench.add_image(image, Axes.of("ZYX"), "blobs")
    workbench.apply(entry)
    bench.until(lambda: bench.jobs, "the refusal")
    assert [job.reason for job in bench.jobs] == ["failed"]
    assert "Nothing is trained yet" in bench.jobs[0].message


def test_going_back_is_forgotten_with_the_project(tmp_path):
    workbench = Workbench(tmp_path, NoEngine)
    image, _ = samples.blobs(1, 64)
    workbench.add_image(image, Axes.of("ZYX"), "first")
    first = workbench.project
    put_model(first.model, steps=3)
    keep_snapshot(first)
    put_model(first.model, steps=9)
    workbench.start_engine()
    workbench._set(state="training")
    workbench.return_to(snapshots(first)[-1])
    second = workbench.create_project("second")
    put_model(second.model, steps=7)
    workbench._on_finished(Finished("stopped"))
    assert load_model(second.model).config.training["steps"] == 7
    assert load_model(first.model).config.training["steps"] == 9
    assert not list(first.model.parent.glob("going-back*"))
    workbench.close()


def test_classes_above_255_keep_their_numbers(bench, tmp_path):
    workbench = bench.workbench
    entry, _, _ = bench.open_blobs(paint=False)
    network = NetworkConfig(width=4, depth=1, out_channels=2)
    model = build_network(network)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-1e3, 1e3]))
    config = ModelConfig(network=network, classes=classes_from_values([1, 300]))
    Model(config, model).save(tmp_path / "m.safetensors")
    workbench.apply(entry, tmp_path / "m.safetensors")
    bench.until(lambda: bench.jobs, "applying")
    assert bench.jobs[0].reason == "done"
    masks = workbench.prediction(entry.key, "masks")
    assert masks.dtype == np.uint16
    assert set(np.unique(masks[...])) == {300}


def test_saving_replaces_no_image_and_no_other_folder(bench, tmp_path):
    path = tmp_path / "cells.tif"
    write_array(path, samples.blobs(2, 64)[0], Axes.of("ZYX"))
    before = path.read_bytes()
    opened = open_image(path)
    book = bench.workbench
    entry = book.add_image(opened.data, opened.axes, "cells", path)
    ChunkStore.create(book.whole(entry), entry.label_shape, "uint8")
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "notes.txt").touch()
    for target, why in (
        (path, "still needed"),
        (tmp_path / "cells.png", "other things in it"),
        (book.project.folder / "masks.tif", "still needed"),
        (book.project.folder / "counts.csv", "still needed"),
    ):
        with pytest.raises(UserError, match=why):
            book.export(entry, target)
    assert path.read_bytes() == before
    assert (tmp_path / "cells" / "notes.txt").exists()


def test_nothing_painted_and_one_class_only(bench):
    workbench = bench.workbench
    with pytest.raises(UserError, match="choose an image"):
        workbench.train()
    entry, _, _ = bench.open_blobs(paint=False)
    with pytest.raises(UserError, match="Nothing is painted"):
        workbench.train()
    with pytest.raises(UserError, match="predicted yet"):
        workbench.export(entry, workbench.home / "x.tif")
    with pytest.raises(UserError, match="no model yet"):
        workbench.save_model(workbench.home / "m.safetensors")
    workbench.labels(entry.key)[0, :9, :9] = 1
    workbench.train()
    bench.until(lambda: bench.finished, "the refusal")
    assert bench.finished[0].reason == "failed"
    assert "another class" in bench.finished[0].message
    assert workbench.status.state == "ready"
    workbench.apply(entry)
    bench.until(lambda: bench.jobs, "the refusal")
    assert "Nothing is trained" in bench.jobs[0].message


def test_applying_can_be_cancelled(bench):
    workbench = bench.workbench
    workbench.start_engine()
    entry, _, _ = bench.open_blobs(slices=60)
    train_until(bench, 3)
    workbench.apply(entry)  # the run waits meanwhile
    bench.until(lambda: workbench.status.share > 0, "progress")
    workbench.cancel_job()
    bench.until(lambda: bench.jobs, "the cancel")
    assert bench.jobs[0].reason == "cancelled"
    folder = workbench.project.folder / "predictions"
    assert not list(folder.glob("*masks*"))
    step = workbench.status.step
    bench.until(lambda: workbench.status.step > step, "training after the cancel")


def test_stop_before_the_engine_is_warm_still_finishes_once(bench):
    bench.open_blobs()
    bench.workbench.train()
    bench.workbench.stop()
    bench.until(lambda: bench.finished, "the end")
    assert [f.reason for f in bench.finished] == ["stopped"]


def test_the_engine_ends_with_the_window(bench):
    workbench = bench.workbench
    workbench.start_engine()
    bench.until(lambda: workbench.status.warm, "the engine")
    pid = workbench.engine_pid
    workbench.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_home_that_cannot_be_written(bench, tmp_path):
    (tmp_path / "home").write_text("a file")
    entry, _, _ = bench.open_blobs(paint=False)
    assert entry.label_shape == (3, 96, 96)
    assert any("For now it is kept in" in text for text in bench.said)
