"""Strokes on disk: undo as often as one likes, whole after a crash at any moment."""

from __future__ import annotations

import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.disks import small_disk

from napari_fcn.data.store import ChunkStore
from napari_fcn.data.strokes import StrokeStore
from napari_fcn.errors import UserError

SHAPE = (3, 700, 600)


def make(folder, shape=SHAPE) -> StrokeStore:
    array = ChunkStore.create(folder / "x.zarr", shape, "uint8").array
    return StrokeStore(array, folder / "x.strokes")


def reopen(folder) -> StrokeStore:
    array = ChunkStore.open(folder / "x.zarr").array
    return StrokeStore(array, folder / "x.strokes")


def paint(store, seed: int) -> None:
    """A stroke over several chunks and slices."""
    random = np.random.default_rng(seed)
    z = random.integers(SHAPE[0])
    y, x = random.integers(480, 530), random.integers(480, 530)
    store[z, y : y + 60, x : x + 40] = random.integers(0, 4)
    store[:, 10, seed] = 1 + seed


def test_undo_and_redo_over_slices_and_after_reopening(tmp_path):
    store, states = make(tmp_path), [np.zeros(SHAPE, np.uint8)]
    for seed in range(6):
        paint(store, seed)
        store.flush()
        states.append(np.asarray(store))
    store.undo()
    store.flush()
    store = reopen(tmp_path)
    np.testing.assert_array_equal(store, states[5])
    for state in states[4::-1]:
        assert store.undo()
        np.testing.assert_array_equal(store, state)
    assert store.undo() == []
    store.flush()
    store = reopen(tmp_path)
    for state in states[1:]:
        assert store.redo()
        np.testing.assert_array_equal(store, state)
    assert store.redo() == []


def test_a_stroke_after_undo_ends_redo(tmp_path):
    store = make(tmp_path)
    paint(store, 1)
    store.commit()
    store.undo()
    assert store.can_redo
    paint(store, 2)
    assert not store.can_redo
    assert store.redo() == []
    store.undo()
    assert not np.asarray(store).any()


def test_where_a_stroke_was(tmp_path):
    store = make(tmp_path)
    store[1, 20:25, 30:41] = 2
    assert store.undo() == [(slice(1, 2), slice(20, 25), slice(30, 41))]
    store.flush()
    store[1, 5, 5] = 0  # nothing changes, so there is nothing to undo
    assert store.flush() == []
    assert not store.can_undo
    assert store.undo() == []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
@settings(max_examples=25)
def test_a_crash_between_journal_and_labels(tmp_path_factory, acts, data):
    """Copy the folder after some of the chunks are written, as a dying program may."""
    folder = tmp_path_factory.mktemp("crash")
    store = make(folder)
    cut = data.draw(st.integers(0, len(acts) - 1))
    for number, act in enumerate(acts):
        if act == 0:
            store.undo()
        elif act == 1:
            store.redo()
        else:
            paint(store, number)
        if number == cut:
            break
        store.flush()
    expected = np.asarray(store)
    store.commit()
    store._journal.write()
    for index in sorted(store._dirty)[: data.draw(st.integers(0, 8))]:
        store._write(index)
    found = reopen(folder)
    np.testing.assert_array_equal(found, expected)
    found.flush()
    np.testing.assert_array_equal(ChunkStore.open(folder / "x.zarr"), expected)
    again = reopen(folder)
    assert not again.dirty
    while again.can_undo:
        again.undo()
    assert not np.asarray(again).any()


def test_very_large_acts_are_kept_but_end_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fcn.data.strokes._MOST_UNDOABLE", 1 << 20)
    store = make(tmp_path)
    paint(store, 1)
    store.flush()
    store[...] = 3
    store.flush()
    assert not store.can_undo
    store[0, 0, 0] = 1
    store.flush()
    again = reopen(tmp_path)
    assert again.undo()
    assert again.undo() == []
    assert (np.asarray(again) == 3).all()


def test_full_disk_then_undo_then_room(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = make(disk.folder)
        paint(store, 0)
        store.flush()
        first = np.asarray(store)
        disk.fill()
        random = np.random.default_rng(0)
        store[1] = random.integers(0, 4, SHAPE[1:])
        with pytest.raises(OSError, match="space"):
            store.flush()
        paint(store, 2)
        expected = np.asarray(store)
        assert store.dirty
        np.testing.assert_array_equal(reopen(disk.folder), first)
        store.undo()
        store.undo()
        np.testing.assert_array_equal(store, first)
        store.redo()
        store.redo()
        disk.make_room()
        store.flush()
        np.testing.assert_array_equal(store, expected)
        again = reopen(disk.folder)
        np.testing.assert_array_equal(again, expected)
        again.undo()
        again.undo()
        np.testing.assert_array_equal(again, first)


def test_no_journal_and_another_file_in_its_place(tmp_path):
    store = make(tmp_path)
    paint(store, 0)
    store.flush()
    journal = tmp_path / "x.strokes"
    contents = (b"", b"not a journal", b"napari-fcn strokes 1\n")
    for number, content in enumerate(contents):
        journal.write_bytes(content)
        again = reopen(tmp_path)
        assert not again.can_undo
        assert np.asarray(again).any()
        paint(again, 5 + number)
        again.flush()
        assert reopen(tmp_path).can_undo
    shutil.rmtree(tmp_path / "x.zarr")
    with pytest.raises(UserError):
        reopen(tmp_path)


def _stroke(boxes, pixels: bytes) -> bytes:
    head = json.dumps(boxes).encode()
    return struct.pack("<I", len(head)) + head + zlib.compress(pixels)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00", struct.pack("<I", 2**32 - 1), _stroke("x", b""),
        _stroke([[[0, 0, 0], [1, 10**9, 10**9]]], bytes(20)),
        _stroke([[[-1, 0, 0], [1, 1, 1]]], bytes(2)),
        _stroke([[[0, 0, 0], [1, 2, 2]]], bytes(7)),
        _stroke([[[0, 0, 0], [1, 2, 2]]], bytes(10**7)),
        _stroke([[[0, 0], [1, 2]]], bytes(4)),
    ],
)  # fmt: skip
def test_hostile_strokes_are_refused_in_one_sentence(tmp_path, content):
    store = make(tmp_path)
    store._journal.add(content)
    store._journal.write()
    with pytest.raises(UserError, match="what is painted is not touched"):
        reopen(tmp_path)
    assert not np.asarray(ChunkStore.open(tmp_path / "x.zarr")).any()
