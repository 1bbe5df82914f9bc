"""What the engine answers about networks, asked through its pipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.data.axes import Axes
from napari_fcn.networks import build_network, receptive_field
from napari_fcn.project import Project
from napari_fcn.workbench.images import add_image
from napari_fcn.workbench.insight import Insight
from napari_fcn.workbench.questions import Describe, SeeField, TryFrame


@pytest.fixture
def asked(bench):
    """Ask a question and wait for its answer."""
    answers = []
    bench.workbench.answered.connect(answers.append)

    def ask(question):
        count = len(answers)
        bench.workbench.ask(question)
        bench.until(lambda: len(answers) > count, "an answer")
        assert len(answers) == count + 1
        return answers[-1]

    return ask


def test_a_network_is_described_and_advice_given(bench, asked):
    found = asked(Describe(NetworkConfig(name="unet-2015")))
    assert (found.parameters, found.size, found.stride) == (
        31_030_658, (215, 215), (16, 16)
    )  # fmt: skip
    assert found.advice == ""
    entry, _, _ = bench.open_blobs(paint=False)
    labels = bench.workbench.labels(entry.key)
    labels[1, 10, 5:90] = 2
    bench.workbench.flush()
    project = bench.workbench.project
    question = Describe(NetworkConfig(depth=2), project.folder, (entry,))
    found = asked(question)
    assert "1 × 85 pixels large" in found.advice
    assert found.better.depth == 3
    assert asked(Describe(found.better, project.folder, (entry,))).advice == ""


def test_what_cannot_be_built_is_said(asked):
    answer = asked(Describe(NetworkConfig(name="fcn-8s", depth=1)))
    assert "depth of 3" in answer.error
    assert "choose one of" in asked(Describe(NetworkConfig(name="nonsense"))).error


def train_a_little(bench):
    bench.workbench.train()
    bench.until(lambda: bench.workbench.status.step >= 5, "5 steps")
    bench.workbench.stop()
    bench.until(lambda: bench.finished, "the end of the run")


def test_the_effective_field_before_and_after_training(bench, asked, tmp_path):
    entry, _, _ = bench.open_blobs()
    project = bench.workbench.project
    network = project.record.network
    out = tmp_path / "field.npy"
    question = SeeField(project.folder, entry, (1,), (50, 40), network, out)
    fresh = asked(question)
    assert (fresh.error, fresh.trained) == ("", False)
    before = np.load(out)
    train_a_little(bench)
    learned = asked(question)
    assert learned.trained
    after = np.load(out)
    assert after.max() == 1
    assert before.shape == after.shape
    assert not np.array_equal(before, after)
    with torch.device("meta"):
        field = receptive_field(build_network(network))
    place = [p - s for p, s in zip((50, 40), learned.start, strict=True)]
    seen = np.argwhere(after > 0)
    for axis in range(2):
        assert place[axis] - seen[:, axis].min() <= field.before[axis]
        assert seen[:, axis].max() - place[axis] <= field.after[axis]
    assert 0 < learned.size <= field.size[0]
    # in a corner it is cut off by the image
    corner = asked(SeeField(project.folder, entry, (0,), (0, 95), network, out))
    assert corner.start[0] == 0
    assert np.load(out).shape[0] < after.shape[0]


def test_frames_change_what_they_must_and_no_more(bench, asked, tmp_path):
    entry, _, _ = bench.open_blobs()
    project, out = bench.workbench.project, tmp_path / "effect.npy"
    region = (slice(0, 96), slice(0, 96))

    def frame(kind, pixels):
        return TryFrame(project.folder, entry, (1,), region, kind, pixels, out)

    assert "Train" in asked(frame("shift", 4)).error
    assert not out.exists()
    train_a_little(bench)
    same = asked(frame("shift", 4))
    assert (same.error, same.stride, same.start) == ("", 4, (4, 4))
    assert np.load(out).shape == (92, 92)
    assert max(same.by_distance[same.reach :]) < 1e-5
    other = asked(frame("shift", 3))
    assert max(other.by_distance[other.reach :]) > max(same.by_distance[same.reach :])
    cut = asked(frame("border", 1))
    assert cut.start == (24, 24)
    assert np.load(out).shape == (48, 48)
    assert "zoom out" in asked(frame("shift", 96)).error


def test_an_image_that_is_gone_is_one_sentence(bench, asked, tmp_path):
    entry, _, _ = bench.open_blobs()
    gone = entry.model_copy(update={"path": "images/gone.zarr"})
    project = bench.workbench.project
    network = project.record.network
    answer = asked(
        SeeField(project.folder, gone, (0,), (5, 5), network, tmp_path / "x.npy")
    )
    assert "gone.zarr" in answer.error


def test_intensities_are_measured_anew_in_another_project(tmp_path):
    told = []
    one = Insight(told.append, lambda: None)
    network, out = NetworkConfig(width=4, depth=1), tmp_path / "field.npy"
    pixels = np.random.default_rng(0).random((40, 40), np.float32)

    def field(insight, project, image):
        insight.see_field(SeeField(project, image, (), (20, 20), network, out))
        assert told[-1].error == ""
        return np.load(out)

    questions = []
    for name, factor in (("dark", 1), ("bright", 1000)):
        project = Project.create(tmp_path / name)
        image, _ = add_image(project, pixels * factor, Axes.of("YX"), "cells")
        questions.append((project.folder, image))
    assert questions[0][1] == questions[1][1]
    dark, bright = (field(one, *question) for question in questions)
    fresh = field(Insight(told.append, lambda: None), *questions[1])
    np.testing.assert_array_equal(bright, fresh)
    np.testing.assert_allclose(bright, dark, atol=1e-3)  # as it is normalised
