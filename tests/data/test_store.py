from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zarr.codecs import GzipCodec
from zarr.storage import LocalStore, MemoryStore

from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError

SHAPE, CHUNKS = (3, 7, 8), (1, 3, 4)
ONE_CHUNK = 12  # bytes


def small(path, shape=SHAPE, chunks=CHUNKS, **options):
    """A store of many tiny chunks."""
    array = zarr.create_array(
        str(path),
        shape=shape,
        chunks=chunks,
        dtype="uint8",
        fill_value=0,
    )
    return ChunkStore(array, **options)


def numbers(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(1, 256, shape).astype(np.uint8)


def filled(path, **options):
    store = small(path, **options)
    store[...] = numbers()
    store.flush()
    return store


# Like numpy ---------------------------------------------------------------------------

basic = hnp.basic_indices(SHAPE, allow_newaxis=False, allow_ellipsis=True)
fancy = hnp.integer_array_indices(SHAPE)
mixed = st.tuples(
    st.integers(-3, 2) | st.slices(3),
    st.lists(st.integers(-7, 6), min_size=2, max_size=2),
    st.slices(8) | st.lists(st.integers(-8, 7), min_size=2, max_size=2),
)
masks = hnp.arrays(bool, SHAPE) | st.tuples(
    st.just(slice(None)), hnp.arrays(bool, SHAPE[1:])
)
keys = basic | fancy | mixed | masks
CACHES = (0, 3 * ONE_CHUNK, 1 << 20)


@pytest.fixture(scope="module")
def readable(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    filled(folder)
    return [ChunkStore.open(folder, cache_bytes=n) for n in CACHES]


@given(keys)
@settings(max_examples=200)
def test_reads_as_numpy_does(readable, key):
    expected = numbers()[key]
    for store in readable:
        values = store[key]
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == expected.dtype


@given(
    st.lists(st.tuples(keys, st.integers(0, 255), st.booleans()), max_size=5),
    st.sampled_from(CACHES),
)
@settings(max_examples=60)
def test_paints_as_numpy_does_and_reopens_the_same(strokes, cache_bytes):
    expected = np.zeros(SHAPE, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        store = small(folder, cache_bytes=cache_bytes)
        for key, value, whether_to_flush in strokes:
            # Arrays of values as well as single ones, as when a stroke is undone.
            new = np.full(expected[key].shape, value, np.uint8) if value % 2 else value
            store[key] = new
            expected[key] = new
            if whether_to_flush:
                store.flush()
            np.testing.assert_array_equal(store, expected)
        store.flush()
        assert not store.dirty
        np.testing.assert_array_equal(ChunkStore.open(folder), expected)


@given(hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=5), st.data())
@settings(max_examples=40)
def test_any_shape(shape, data):
    with tempfile.TemporaryDirectory() as folder:
        store = ChunkStore.create(Path(folder) / "labels", shape, np.int32)
        key = data.draw(hnp.basic_indices(shape, allow_newaxis=False))
        expected = np.zeros(shape, np.int32)
        store[key] = expected[key] = 70_000
        np.testing.assert_array_equal(store, expected)
        written = store.flush()
        assert sum(expected[region].size for region in written) >= (expected > 0).sum()
        again = ChunkStore.open(Path(folder) / "labels")
        np.testing.assert_array_equal(again, expected)
        assert (again.shape, again.dtype) == (shape, expected.dtype)
        assert (again.ndim, again.size) == (expected.ndim, expected.size)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0, 0)])
def test_empty(tmp_path, shape):
    store = ChunkStore.create(tmp_path / "labels", shape, np.uint8)
    store[...] = 1
    assert store[...].shape == shape
    assert store.size == 0
    assert not store.dirty
    assert store.flush() == store.painted_chunks() == []


def test_one_pixel(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (1, 1), np.uint8)
    store[(np.array([0]), np.array([0]))] = np.uint8(3)
    assert store[0, 0] == 3
    assert store.flush() == [(slice(0, 1), slice(0, 1))]
    assert np.asarray(ChunkStore.open(tmp_path / "labels")).tolist() == [[3]]


def test_what_is_read_is_a_copy(tmp_path):
    store = filled(tmp_path)
    values = store[1:2, 2:5, 2:5]
    values[...] = 0
    whole = np.asarray(store)
    whole[...] = 0
    np.testing.assert_array_equal(store, numbers())
    with pytest.raises(ValueError, match="without a copy"):
        store.__array__(copy=False)


def test_as_a_sequence(tmp_path):
    store = filled(tmp_path)
    assert len(store) == 3
    np.testing.assert_array_equal(list(store), numbers())
    assert np.asarray(store, dtype=np.int64).dtype == np.int64


@pytest.mark.parametrize(
    "key",
    [
        3,
        -4,
        (0, 0, 0, 0),
        (..., 0, ...),
        (np.array([0, 3]), 0, 0),
        (np.array([0, -4]), 0, 0),
        (np.array([0.0]), 0, 0),
        np.zeros((3, 7, 7), bool),
        (0, np.zeros((8, 7), bool)),
        None,
        (0, True),
    ],
)
def test_what_is_no_index_is_refused(tmp_path, key):
    store = small(tmp_path)
    with pytest.raises(IndexError):
        store[key]
    with pytest.raises(IndexError):
        store[key] = 1
    assert not store.dirty


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_positions_of_any_integer_type(tmp_path, dtype):
    store = ChunkStore.create(tmp_path / "labels", (300,), np.uint16)
    store[...] = np.arange(300)
    positions = np.array([100, 0, 7], dtype)
    assert store[(positions,)].tolist() == [100, 0, 7]
    if dtype == np.int8:
        assert store[(-positions[:1],)].tolist() == [200]


def test_values_that_do_not_fit_leave_all_as_it_was(tmp_path):
    store = small(tmp_path)
    with pytest.raises(OverflowError):
        store[0, 0, 0] = 300
    with pytest.raises(ValueError, match="broadcast"):
        store[0, :3, :3] = np.ones((2, 2))
    assert not store.dirty


def layers(tmp_path):
    """A napari layer on a store and one on the numpy array that it should equal."""
    from napari.layers import Labels

    start = np.zeros(SHAPE, np.uint8)
    start[1, 2:6, 1:7] = 2
    store = small(tmp_path)
    store[...] = start
    pair = Labels(store), Labels(start)
    for layer in pair:
        layer.brush_size = 3
        layer.selected_label = 5
    return pair


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("preserve", [False, True])
def test_napari_paints_fills_and_undoes(tmp_path, dimensions, preserve):
    pair = layers(tmp_path)
    for layer in pair:
        layer.n_edit_dimensions = dimensions
        layer.preserve_labels = preserve
        layer.paint((0, 1, 1), 5)
        layer.paint((1, 3.2, 4), 3)
        layer.fill((1, 6, 0), 7)
        layer.contiguous = False
        layer.fill((2, 0, 0), 4)
        layer.undo()
        layer.undo()
        layer.redo()
        layer.data_setitem((np.array([0, 2]), np.array([6, 5]), np.array([7, 0])), 6)
        layer.undo()
        layer.redo()
        if dimensions == 2:
            layer.paint_polygon([[2, 1, 1], [2, 1, 6], [2, 5, 6]], 8)
        layer.refresh()
    mine, theirs = (layer.data for layer in pair)
    assert len(np.unique(theirs)) >= 4
    np.testing.assert_array_equal(mine, theirs)
    mine.flush()
    np.testing.assert_array_equal(ChunkStore.open(tmp_path), theirs)


# On disk ------------------------------------------------------------------------------


def test_flush_writes_what_was_painted_and_nothing_else(tmp_path):
    store = small(tmp_path)
    assert store.flush() == []
    store[1, 2:4, 3] = 9
    assert store.dirty
    assert store.flush() == [
        (slice(1, 2), slice(0, 3), slice(0, 4)),
        (slice(1, 2), slice(3, 6), slice(0, 4)),
    ]
    assert not store.dirty
    assert store.flush() == []
    store[1, 2:4, 3] = 9  # nothing new
    assert not store.dirty


def test_painted_chunks(tmp_path):
    store = small(tmp_path)
    assert store.painted_chunks() == []
    store[2, 6, 7] = 1
    store[0, 0, 0] = 0  # zero on zero is no paint
    last = (slice(2, 3), slice(6, 7), slice(4, 8))
    assert store.painted_chunks() == [last]
    store.flush()
    assert store.painted_chunks() == [last]
    assert ChunkStore.open(tmp_path).painted_chunks() == [last]
    store[2, 6, 7] = 0
    store.flush()
    assert ChunkStore.open(tmp_path).painted_chunks() == []


def test_other_files_among_the_chunks_are_left_alone(tmp_path):
    filled(tmp_path)
    for name in ("c/notes.txt", "c/0/0/0.0123.partial", "c/9/0/0"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("not a chunk")
    store = ChunkStore.open(tmp_path)
    assert len(store.painted_chunks()) == 3 * 3 * 2
    np.testing.assert_array_equal(store, numbers())


def test_reload_shows_what_another_wrote(tmp_path):
    mine, other = filled(tmp_path), ChunkStore.open(tmp_path)
    np.testing.assert_array_equal(mine, other)
    other[0, 0:2, 0:2] = 77
    other[2] = 0
    expected = np.asarray(other)
    for region in other.flush():
        mine.reload(region)
    np.testing.assert_array_equal(mine, expected)


def test_reload_finds_new_chunks(tmp_path):
    mine = small(tmp_path)
    other = ChunkStore.open(tmp_path)
    assert not mine[...].any()
    other[1] = 4
    other.flush()
    mine.reload((slice(0, 3), slice(0, 99), slice(0, 8)))
    np.testing.assert_array_equal(mine, other)


def test_reload_keeps_what_is_not_on_disk_yet(tmp_path):
    mine, other = small(tmp_path), ChunkStore.open(tmp_path)
    mine[0, 0, 0] = 1
    other[0, 6, 7] = 2
    (region,) = other.flush()
    mine.reload((slice(0, 1), slice(0, 7), slice(0, 8)))
    assert mine.dirty
    assert mine[0, 0, 0] == 1
    assert mine[0, 6, 7] == 2
    mine.flush()
    other.reload(region)
    assert other[0, 6, 7] == 2


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2},
        {"chunk_key_encoding": {"name": "default", "separator": "."}},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"shards": (1, 6, 8)},
        {"fill_value": 5},
        {"name": "group/labels"},
    ],
    ids=lambda o: next(iter(o)),
)
def test_arrays_that_others_made(tmp_path, options):
    name = options.get("name", "")
    array = zarr.create_array(
        str(tmp_path),
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="uint8",
        **{"fill_value": 0, **options},
    )
    array[1, 1:5] = 3
    expected = np.asarray(array[...])
    store = ChunkStore.open(tmp_path / name)
    np.testing.assert_array_equal(store, expected)
    assert store.painted_chunks()
    store[0:2, 4, 2:7] = expected[0:2, 4, 2:7] = 9
    np.testing.assert_array_equal(store, expected)
    store.flush()
    np.testing.assert_array_equal(ChunkStore.open(tmp_path / name), expected)


def test_an_array_in_memory():
    array = zarr.create_array(
        MemoryStore(), shape=SHAPE, chunks=CHUNKS, dtype="uint8", fill_value=0
    )
    array[1] = 3
    store = ChunkStore(array)
    np.testing.assert_array_equal(store, array[...])
    store[2, 2:5] = 4
    store.flush()
    np.testing.assert_array_equal(store, array[...])


def test_no_axes(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (), np.uint8)
    store[()] = 3
    store.flush()
    assert ChunkStore.open(tmp_path / "labels")[()] == 3


def test_opened_for_reading_only(tmp_path):
    filled(tmp_path)
    store = ChunkStore.open(tmp_path, writable=False)
    np.testing.assert_array_equal(store, numbers())
    with pytest.raises(ValueError, match="read-only"):
        store[0] = 1
    assert not store.dirty


# What goes wrong ----------------------------------------------------------------------


def damaged(data: bytes) -> dict[str, bytes]:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x10
    return {
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "one byte missing": data[:-1],
        "garbage": b"this is not a chunk " * 20,
        "zeros": bytes(len(data)),
        "one bit flipped": bytes(flipped),
        "another chunk": np.zeros(3, np.uint8).tobytes(),
    }


@pytest.mark.parametrize("how", damaged(b"0123"))
def test_a_damaged_chunk_is_one_sentence(tmp_path, how):
    store = ChunkStore.create(tmp_path / "labels", (600, 600), np.uint8)
    store[...] = numbers((600, 600))
    store.flush()
    file = tmp_path / "labels/c/0/1"
    good = file.read_bytes()
    file.write_bytes(damaged(good)[how])
    store = ChunkStore.open(tmp_path / "labels")
    for _ in range(2):
        with pytest.raises(UserError, match=r"c/0/1 .* cannot be read .* from a copy"):
            store[:10, 500:520]
    with pytest.raises(UserError):
        store[:10, 500:520] = 1
    assert not store.dirty
    np.testing.assert_array_equal(store[:, :512], numbers((600, 600))[:, :512])
    file.write_bytes(good)
    np.testing.assert_array_equal(store, numbers((600, 600)))
    file.unlink()
    assert not ChunkStore.open(tmp_path / "labels")[:512, 512:].any()


def test_a_flipped_bit_never_gives_wrong_values(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (64, 64), np.uint8)
    store[...] = numbers((64, 64)) % 4
    store.flush()
    file = tmp_path / "labels/c/0/0"
    good = file.read_bytes()
    caught = 0
    for place in range(0, len(good), 7):
        flipped = bytearray(good)
        flipped[place] ^= 0x10
        file.write_bytes(flipped)
        try:
            values = ChunkStore.open(tmp_path / "labels")[...]
        except UserError:
            caught += 1
        else:
            np.testing.assert_array_equal(values, store)
    assert caught > 100


@pytest.mark.parametrize("codec", [GzipCodec(), None])
@pytest.mark.parametrize("how", ["empty", "truncated", "garbage"])
def test_damaged_chunks_of_other_codecs(tmp_path, codec, how):
    zarr.create_array(
        str(tmp_path),
        data=numbers((40, 40)),
        chunks=(40, 40),
        compressors=codec,
    )
    file = tmp_path / "c/0/0"
    file.write_bytes(damaged(file.read_bytes())[how])
    with pytest.raises(UserError, match="from a copy"):
        ChunkStore.open(tmp_path)[0, 0]


def spoiled():
    """Texts that are not the zarr.json of an array."""
    with tempfile.TemporaryDirectory() as folder:
        small(folder)
        good = json.loads((Path(folder) / "zarr.json").read_text())
    yield from ["", "[]", "null", "3", "{}", "\0", json.dumps(good)[:80]]
    yield json.dumps({"zarr_format": 3, "node_type": "group"})
    for name in ("shape", "data_type", "chunk_grid", "codecs", "fill_value"):
        yield json.dumps({k: v for k, v in good.items() if k != name})
        yield json.dumps({**good, name: None})
        yield json.dumps({**good, name: "spoiled"})


@pytest.mark.parametrize("text", list(spoiled()))
def test_damaged_metadata_is_one_sentence(tmp_path, text):
    filled(tmp_path)
    (tmp_path / "zarr.json").write_text(text)
    with pytest.raises(UserError, match=r"cannot be read .* from a copy"):
        ChunkStore.open(tmp_path)


def test_nothing_there_and_something_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        ChunkStore.open(tmp_path / "nothing")
    filled(tmp_path / "labels")
    with pytest.raises(UserError, match="choose another folder"):
        ChunkStore.create(tmp_path / "labels", SHAPE, np.uint8)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="choose another folder"):
        ChunkStore.create(tmp_path / "file/labels", SHAPE, np.uint8)
    np.testing.assert_array_equal(ChunkStore.open(tmp_path / "labels"), numbers())


def test_what_the_disk_refuses_stays_and_catches_up(tmp_path):
    store = small(tmp_path)
    (tmp_path / "c").mkdir()
    obstacle = tmp_path / "c/1"
    obstacle.write_text("a file where a folder should be")
    store[...] = numbers()
    for _ in range(2):
        with pytest.raises(OSError, match="1"):
            store.flush()
        assert store.dirty
        np.testing.assert_array_equal(store, numbers())
    # The chunks that did not fail are on disk.
    np.testing.assert_array_equal(ChunkStore.open(tmp_path)[0::2], numbers()[0::2])
    store[1, 0, 0] = store[2, 6, 7] = 0
    obstacle.unlink()
    written = store.flush()
    # Those written by the failing calls are reported, too: nobody heard of them.
    assert written == store.painted_chunks()
    assert len(written) == 3 * 3 * 2
    assert not store.dirty
    expected = numbers()
    expected[1, 0, 0] = expected[2, 6, 7] = 0
    np.testing.assert_array_equal(ChunkStore.open(tmp_path), expected)
    assert store.flush() == []


FULL = """
import resource, sys
import numpy as np
from napari_fcn.data.store import ChunkStore

store = ChunkStore.create(sys.argv[1], (512, 1024), np.uint8)
noise = np.random.default_rng(0).integers(0, 256, store.shape, np.uint8)
store[:, :512] = 1
store.flush()
store[...] = noise
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most))
try:
    store.flush()
except OSError:
    assert store.dirty
    assert (np.asarray(store) == noise).all()
    kept = np.asarray(ChunkStore.open(sys.argv[1]))
    assert (kept[:, :512] == 1).all() and not kept[:, 512:].any()
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert len(store.flush()) == 2 and not store.dirty
    assert (np.asarray(ChunkStore.open(sys.argv[1])) == noise).all()
    print("caught up")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
def test_a_disk_that_takes_only_part_of_a_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "labels")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "caught up", done.stderr
    leftovers = [p.name for p in tmp_path.rglob("*.partial")]
    assert leftovers == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(tiny_disk):
    store = ChunkStore.create(tiny_disk / "labels", (2, 512, 512), np.uint8)
    painted = numbers((2, 512, 512))
    store[...] = painted
    with pytest.raises(OSError, match="No space left"):
        store.flush()
    assert store.dirty
    np.testing.assert_array_equal(store, painted)
    store[1] = painted[1] = 1  # compresses to nothing, so that now all has room
    store.flush()
    assert not store.dirty
    np.testing.assert_array_equal(ChunkStore.open(tiny_disk / "labels"), painted)


# Memory -------------------------------------------------------------------------------


def test_reading_through_a_large_store_forgets(tmp_path):
    shape = (48, 1024, 1024)
    store = ChunkStore.create(tmp_path / "labels", shape, np.uint8)
    store[0, :512, :512] = 1
    store.flush()
    folder = tmp_path / "labels/c"
    for index in np.ndindex(48, 2, 2):
        file = folder.joinpath(*map(str, index))
        file.parent.mkdir(exist_ok=True, parents=True)
        if any(index):
            os.link(folder / "0/0/0", file)
    most = 4 << 20
    store = ChunkStore.open(tmp_path / "labels", cache_bytes=most)
    tracemalloc.start()
    try:
        for plane in store:
            assert plane.all()
        del plane
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / 2 < held < most + (1 << 20)
    assert peak < 3 * most
    assert store.size == 12 * most


def test_the_least_recently_used_chunk_is_forgotten_first(tmp_path):
    store = filled(tmp_path, cache_bytes=0)
    store = ChunkStore.open(tmp_path, cache_bytes=2 * ONE_CHUNK)
    plane = (slice(0, 1), slice(0, 3), slice(0, 4))
    for _ in range(5):  # what is forgotten takes no room
        store.reload(plane)
        assert store[plane].all()
    for plane in (0, 1, 0, 2):  # 1 goes when 2 comes
        store[plane, 0, 0]
    # Behind its back, so that what comes from memory can be told from the disk.
    other = ChunkStore.open(tmp_path)
    other[:, 0, 0] = [0, 0, 0]
    other.flush()
    known = numbers()[:, 0, 0]
    assert store[0, 0, 0] == known[0]
    assert store[2, 0, 0] == known[2]
    assert store[1, 0, 0] == 0


@pytest.mark.parametrize("cache_bytes", [0, ONE_CHUNK])
def test_paint_is_never_forgotten(tmp_path, cache_bytes):
    store = small(tmp_path, cache_bytes=cache_bytes)
    expected = numbers()
    store[...] = expected
    np.testing.assert_array_equal(store, expected)
    store.flush()
    store[:, 1:6, 1] = expected[:, 1:6, 1] = 0
    np.testing.assert_array_equal(store, expected)
    store.flush()
    np.testing.assert_array_equal(ChunkStore.open(tmp_path), expected)


# Threads ------------------------------------------------------------------------------


class GatedStore(LocalStore):
    """Files whose writing waits for a gate."""

    def __init__(self, root, *, read_only=False):
        super().__init__(root, read_only=read_only)
        self.writing, self.gate = threading.Event(), threading.Event()

    async def set(self, key, value):
        if "c/" in key:
            self.writing.set()
            assert self.gate.wait(20)
        await super().set(key, value)


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_painting_goes_on_while_a_chunk_is_written(tmp_path, cache_bytes):
    gated = GatedStore(tmp_path)
    array = zarr.create_array(
        gated, shape=SHAPE, chunks=CHUNKS, dtype="uint8", fill_value=0
    )
    store = ChunkStore(array, cache_bytes=cache_bytes)
    store[0, 0, 0] = 1
    thread = threading.Thread(target=store.flush)
    thread.start()
    assert gated.writing.wait(20)
    store[0, 0, 1] = 2  # the same chunk
    store[1, 0, 0] = 3  # another
    assert store[0, 0, :2].tolist() == [1, 2]
    store.reload((slice(0, 3), slice(0, 7), slice(0, 8)))
    gated.gate.set()
    thread.join()
    assert store.dirty
    assert store[0, 0, :2].tolist() == [1, 2]
    assert len(store.flush()) == 2
    assert not store.dirty
    again = ChunkStore.open(tmp_path)
    assert again[0, 0, :2].tolist() == [1, 2]
    assert again[1, 0, 0] == 3


def test_two_flushes_at_once_report_each_chunk_once(tmp_path):
    store = small(tmp_path)
    store[...] = numbers()
    written: list[object] = []
    threads = [
        threading.Thread(target=lambda: written.extend(store.flush())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, written)) == sorted(map(str, store.painted_chunks()))
    np.testing.assert_array_equal(ChunkStore.open(tmp_path), numbers())


def test_flushing_in_the_background_loses_nothing(tmp_path):
    store = small(tmp_path, cache_bytes=ONE_CHUNK)
    expected = np.zeros(SHAPE, np.uint8)
    done = threading.Event()
    failures: list[BaseException] = []

    def flush_all_the_time():
        try:
            while not done.is_set():
                store.flush()
        except BaseException as error:  # noqa: BLE001  a thread would swallow it
            failures.append(error)

    thread = threading.Thread(target=flush_all_the_time)
    thread.start()
    random = np.random.default_rng(0)
    try:
        for _ in range(300):
            low = [int(random.integers(n)) for n in SHAPE]
            key = tuple(slice(a, a + int(random.integers(1, 5))) for a in low)
            store[key] = expected[key] = random.integers(0, 3)
            np.testing.assert_array_equal(store[key], expected[key])
    finally:
        done.set()
        thread.join()
    assert failures == []
    np.testing.assert_array_equal(store, expected)
    store.flush()
    np.testing.assert_array_equal(ChunkStore.open(tmp_path), expected)
