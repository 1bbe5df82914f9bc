"""What training has achieved, kept over crashes and damage."""

from __future__ import annotations

import json
import os

import pytest

from napari_fcn.project import history as module
from napari_fcn.project.history import History, smoothed


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


@pytest.fixture
def each(monkeypatch):
    """Every loss is written at once."""
    monkeypatch.setattr(module, "_NOTE_EVERY", 0.0)


def note(history, *seconds, task="segmentation"):
    for s in seconds:
        history.note_loss(task, round(10 * s), s, 1 / (1 + s))


def times(history, task="segmentation"):
    return [seconds for seconds, _ in history.read(task).losses]


def test_losses_and_scores_of_each_task_come_back(path, each):
    history = History(path)
    assert not history.read("segmentation").losses
    note(history, 1.0, 2.0)
    history.note_score("segmentation", 20, 2.0, 0.75, held_out=False)
    note(history, 7.0, task="density")
    found = History(path).read("segmentation")
    second = smoothed(0.5, 1 / 3)
    assert 1 / 3 < second < 0.5
    assert found.losses == [(1.0, 0.5), (2.0, pytest.approx(second))]
    assert found.scores == [(2.0, 0.75)]
    assert (found.step, found.seconds, found.held_out) == (20, 2.0, False)
    assert times(history, "density") == [7.0]


def test_a_loss_is_written_every_few_seconds_and_at_the_end(path):
    history = History(path)
    note(history, 1.0)  # the first is on disk at once
    assert times(History(path)) == [1.0]
    history.note_loss("segmentation", 30, 3.0, 0.4)
    history.note_loss("segmentation", 31, 3.1, float("nan"))
    history.note_loss("segmentation", 32, 3.2, 0.2)
    assert times(History(path)) == [1.0]
    history.flush()
    found = History(path).read("segmentation")
    last = smoothed(smoothed(0.5, 0.4), 0.2)
    assert found.losses == [(1.0, 0.5), (3.2, pytest.approx(last))]
    history.flush()  # nothing waits
    again = History(path)
    again.read("segmentation")
    again.note_loss("segmentation", 40, 4.0, 0.0)  # goes on from what was read
    assert again.read("segmentation").losses[-1][1] == pytest.approx(0.9 * last)
    assert len(path.read_bytes().splitlines()) == 3


def test_what_was_not_gone_on_with_is_dropped(path, each):
    history = History(path)
    note(history, 1.0, 2.0, 3.0)
    history.note_score("segmentation", 30, 3.0, 0.9, held_out=True)
    note(history, 1.5, 2.5)  # from the checkpoint, after a crash
    found = history.read("segmentation")
    assert times(history) == [1.0, 1.5, 2.5]
    assert found.scores == []
    history.begin_anew()
    assert times(history) == [1.0, 1.5, 2.5]  # nothing is learned yet
    note(history, 1.2, 2.2)
    assert times(history) == [1.2, 2.2]


def test_a_line_cut_short_by_a_kill_is_passed_over(path, each):
    history = History(path)
    note(history, 1.0, 2.0)
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        again = History(path)
        assert times(again) == [1.0]
        assert not again.damaged
        note(again, 3.0)
        assert times(again) == [1.0, 3.0]
        assert not again.damaged


LINES = [
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"[1, 2]",
    b"null",
    b'{"seconds": 1}',
    b'{"seconds": "1", "loss": 1, "step": 1}',
    b'{"seconds": NaN, "loss": 1, "step": 1}',
    b'{"seconds": 1, "loss": 1e999, "step": 1}',
    b'{"seconds": 1, "loss": 1, "step": ' + b"9" * 5000 + b"}",
    b'{"seconds": 1, "score": []}',
    b'{"task": {}, "loss": [',
]


@pytest.mark.parametrize("line", LINES)
def test_strange_lines_are_ignored(path, each, line):
    history = History(path)
    note(history, 1.0)
    with path.open("ab") as file:
        file.write(line + b"\n")
    note(history, 2.0)
    assert times(history) == [1.0, 2.0]
    assert not history.damaged
    path.write_bytes(line + b"\n")
    assert times(history) == []
    assert history.damaged


def test_no_file_a_huge_file_and_a_pipe(tmp_path, each):
    huge = History(tmp_path / "huge")
    with huge.path.open("wb") as file:
        file.truncate(1 << 32)  # takes no room on disk
    note(huge, 5.0)
    assert times(huge) == [5.0]
    folder = History(tmp_path)
    note(folder, 1.0)
    assert times(folder) == []
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert times(History(tmp_path / "pipe")) == []


def test_a_long_history_is_thinned(path):
    lines = [
        json.dumps({"seconds": s, "loss": 1.0, "step": s}) for s in range(1, 20_000)
    ]
    path.write_text("\n".join(lines) + "\n")
    found = History(path).read("segmentation")
    assert 500 <= len(found.losses) <= 1500
    assert found.seconds == pytest.approx(19_999, abs=30)


def test_what_has_not_changed_is_read_once(tmp_path, monkeypatch):
    history = History(tmp_path / "history.jsonl")
    history.note_score("segmentation", 1, 1.0, 0.5, held_out=True)
    reads = []
    read = History._read
    monkeypatch.setattr(
        History, "_read", lambda self, task: reads.append(task) or read(self, task)
    )
    first = history.read("segmentation")
    first.add_score(2.0, 0.6)  # whoever asked may go on with it
    assert history.read("segmentation").scores == [(1.0, 0.5)]
    assert reads == ["segmentation"]
    history.note_score("segmentation", 2, 3.0, 0.7, held_out=True)
    assert history.read("segmentation").scores == [(1.0, 0.5), (3.0, 0.7)]
    assert history.read("density").scores == []
    assert reads == ["segmentation", "segmentation", "density"]
