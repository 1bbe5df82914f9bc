"""The log of strokes: round trips, half-written tails, full disks, bounded length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.disks import small_disk

from napari_fcn.data.journal import MAGIC, Journal
from napari_fcn.errors import UserError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels" / "cells.strokes"


def noted(journal) -> list[bytes]:
    """All strokes that can be undone, the last one first."""
    found = []
    while journal.can_undo:
        found.append(journal.undo())
    return found


def test_strokes_are_there_after_reopening(path):
    journal = Journal(path)
    for content in (b"one", b"two", b"", b"four"):
        journal.add(content)
        journal.write()
    again = Journal(path)
    assert [e.length for e, _ in again.unwritten] == [3, 3, 0, 4]
    assert noted(again) == [b"four", b"", b"two", b"one"]


def test_undone_strokes_can_be_redone_after_reopening(path):
    journal = Journal(path)
    for content in (b"one", b"two"):
        journal.add(content)
    assert journal.undo() == b"two"
    journal.write()
    again = Journal(path)
    assert [(again.content(e), f) for e, f in again.unwritten] == [
        (b"one", True), (b"two", True), (b"two", False)
    ]  # fmt: skip
    assert again.redo() == b"two"
    assert not again.can_redo
    again.undo()
    again.add(b"three")
    assert not again.can_redo
    again.write()
    assert noted(Journal(path)) == [b"three", b"one"]


def test_what_is_in_the_labels_is_not_painted_again(path):
    journal = Journal(path)
    journal.add(b"one")
    journal.write()
    journal.mark_written()
    journal.add(b"two")
    journal.write()
    again = Journal(path)
    assert [again.content(e) for e, _ in again.unwritten] == [b"two"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "x.strokes"
    journal = Journal(path)
    for content in (b"one", b"second", b"x" * 100):
        journal.add(content)
    journal.write()
    return path.read_bytes()


@given(st.data())
@settings(max_examples=60)
def test_a_half_written_tail_is_cut_off(tmp_path_factory, whole, data):
    length = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.getbasetemp() / "cut.strokes"
    path.write_bytes(whole[:length])
    found = noted(Journal(path))[::-1]
    assert found == [b"one", b"second", b"x" * 100][: len(found)]
    assert len(found) < 3
    journal = Journal(path)
    journal.add(b"after")
    journal.write()
    assert noted(Journal(path))[::-1] == [*found, b"after"]


@given(st.data())
@settings(max_examples=60)
def test_a_flipped_bit_is_never_read_as_a_stroke(tmp_path_factory, whole, data):
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    raw = bytearray(whole)
    raw[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "flipped.strokes"
    path.write_bytes(raw)
    found = noted(Journal(path))[::-1]
    assert found == [b"one", b"second", b"x" * 100][: len(found)]
    assert len(found) < 3


def test_what_cannot_be_undone_ends_the_history(path):
    journal = Journal(path)
    journal.add(b"one")
    journal.bar()
    assert not journal.can_undo
    journal.add(b"two")
    journal.write()
    assert noted(Journal(path)) == [b"two"]


def test_a_long_history_forgets_its_beginning(path):
    journal = Journal(path, most_bytes=4000)
    for number in range(200):
        journal.add(bytes([number]) * 100)
        journal.write()
        journal.mark_written()
    assert path.stat().st_size < 4500
    again = Journal(path, most_bytes=4000)
    assert not again.unwritten
    found = noted(again)
    assert 10 < len(found) < 40
    assert found == [bytes([199 - n]) * 100 for n in range(len(found))]


def test_undone_strokes_survive_shortening(path):
    journal = Journal(path, most_bytes=4000)
    for number in range(60):
        journal.add(bytes([number]) * 100)
    for _ in range(3):
        journal.undo()
    journal.write()
    journal.mark_written()
    again = Journal(path, most_bytes=4000)
    assert [again.redo() for _ in range(3)] == [bytes([n]) * 100 for n in (57, 58, 59)]
    assert not again.can_redo


def test_a_full_disk_leaves_nothing_half_and_catches_up(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal(disk.folder / "x.strokes")
        journal.add(b"one")
        journal.write()
        disk.fill()
        journal.add(b"y" * 100_000)
        assert journal.can_undo
        with pytest.raises(OSError, match="space"):
            journal.write()
        assert journal.pending
        assert noted(Journal(journal.path)) == [b"one"]
        disk.make_room()
        journal.write()
        assert not journal.pending
        assert noted(Journal(journal.path)) == [b"y" * 100_000, b"one"]


def test_a_journal_that_vanished_or_shrank_is_one_sentence(path):
    journal = Journal(path)
    journal.add(b"one")
    journal.write()
    path.write_bytes(MAGIC)
    with pytest.raises(UserError, match="damaged"):
        journal.undo()
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        journal.undo()
