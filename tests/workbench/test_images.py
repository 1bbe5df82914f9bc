"""Images are linked where they lie on disk, copied otherwise, and found again."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array
from napari_fcn.project import Project
from napari_fcn.workbench import images
from napari_fcn.workbench.images import add_image
from napari_fcn.workbench.session import Workbench

AXES = Axes.of("ZYX", (2.0, 0.5, 0.5), "micrometer")


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "work")


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 99, shape).astype(dtype)


def save(path, data):
    write_array(path, data, Axes.of("ZYX"))


def copies(project):
    return [path.name for path in (project.folder / "images").iterdir()]


def pixels(project, image):
    return np.asarray(image.pixels(project.folder)[...])


@pytest.mark.parametrize(
    "dtype",
    ["bool", "u1", "i2", ">u2", "u4", "i8", "f2", "f4", "f8"],
)
def test_arrays_in_memory_are_copied_as_they_are(project, dtype):
    data = noise(3, 20, 30, dtype=dtype)
    image, copy = add_image(project, data, AXES, "a")
    assert copy is None
    assert (image.kind, image.path) == ("zarr", "images/a.zarr")
    kept = pixels(project, image)
    assert kept.dtype == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(kept, data)
    assert image.axes.axes() == AXES
    assert add_image(project, data, AXES, "a") == (image, None)


def test_lazy_and_mapped_arrays_are_copied(project, tmp_path):
    data = noise(3, 20, 30)
    mapped = np.memmap(tmp_path / "a.raw", dtype="u1", mode="w+", shape=data.shape)
    mapped[...] = data
    memory = zarr.create_array({}, shape=data.shape, dtype="u1")
    memory[...] = data
    sources = {
        "dask": da.from_array(data, chunks=(2, 7, 30)),
        "mapped": mapped,
        "zarr": memory,
        "turned": data[:, ::-1],
    }
    for name, source in sources.items():
        image, copy = add_image(project, source, AXES, name, tmp_path / "a.raw")
        if copy is not None:
            copy.wait()
        expected = data[:, ::-1] if name == "turned" else data
        np.testing.assert_array_equal(pixels(project, image), expected)
    assert len(copies(project)) == 4


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
def test_files_are_linked(project, tmp_path, suffix):
    data = noise(3, 20, 30)
    path = tmp_path / f"a{suffix}"
    write_array(path, data, AXES)
    image, copy = add_image(project, da.from_array(data), AXES, "a", path)
    assert copy is None
    assert (image.kind, image.path) == ("file", str(path))
    assert copies(project) == []
    np.testing.assert_array_equal(pixels(project, image), data)


def test_a_zarr_array_on_disk_is_linked(project, tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    array = group.create_array("inner", shape=(3, 20, 30), dtype="u2")
    array[...] = noise(3, 20, 30)
    image, _ = add_image(project, array, AXES, "a")
    assert (image.kind, image.path) == ("zarr", str(tmp_path / "a.zarr" / "inner"))
    assert copies(project) == []
    np.testing.assert_array_equal(pixels(project, image), array[...])


@pytest.mark.parametrize("change", ["pixels", "shape", "type", "damage", "folder"])
def test_a_file_that_holds_something_else_is_not_linked(project, tmp_path, change):
    data = noise(3, 20, 30)
    path = tmp_path / "a.tif"
    other = data.copy()
    if change == "pixels":
        other[1, 7, 9] += 1
    elif change == "shape":
        other = other[:, :-1]
    elif change == "type":
        other = other.astype(np.uint16)
    save(path, other)
    if change == "damage":
        path.write_bytes(path.read_bytes()[:200])
    elif change == "folder":
        path.unlink()
        path.mkdir()
    image, _ = add_image(project, data, AXES, "a", path)
    assert image.kind == "zarr"
    np.testing.assert_array_equal(pixels(project, image), data)


def test_large_files_are_compared_in_places(project, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_AT_ONCE", 1000)
    data = noise(40, 200, 300, dtype=np.float32)
    data[0, :40] = np.nan
    np.save(tmp_path / "a.npy", data)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    image, _ = add_image(project, mapped, AXES, "a", tmp_path / "a.npy")
    assert image.kind == "file"
    blurred = (data[1:] + data[:-1])[: len(data)]
    blurred = np.concatenate([blurred, data[-1:]])
    image, copy = add_image(project, blurred, AXES, "b", tmp_path / "a.npy")
    if copy is not None:
        copy.wait()
    assert image.kind == "zarr"


def test_a_file_that_changes_afterwards_is_said(project, tmp_path):
    data, path = noise(3, 20, 30), tmp_path / "a.tif"
    save(path, data)
    image, _ = add_image(project, data, AXES, "a", path)
    save(path, data[:, :7])
    with pytest.raises(UserError, match="now has shape"):
        image.pixels(project.folder)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="not a complete TIFF"):
        image.pixels(project.folder)
    path.unlink()
    with pytest.raises(UserError, match="no file"):
        image.pixels(project.folder)


@pytest.mark.parametrize("linked", [True, False])
def test_the_same_image_is_found_again(project, tmp_path, linked):
    data, path = noise(3, 20, 30), tmp_path / "a.tif"
    save(path, data)
    place = path if linked else None
    first, _ = add_image(project, data, AXES, "a", place)
    again, copy = add_image(project, data.copy(), AXES, "a", place)
    assert again == first
    assert copy is None
    others = (
        (noise(3, 20, 30, seed=1), AXES, "a"),
        (data[:, :-1], AXES, "a"),
        (data, Axes.of("CYX"), "a"),
    )
    for number, (array, axes, name) in enumerate(others, 2):
        image, _ = add_image(project, array, axes, name)
        assert image.key == f"a-{number}"
    if not linked:
        assert add_image(project, data, AXES, "b")[0].key == "b"


def test_what_is_no_image_is_refused(project):
    for data, word in (
        (np.zeros((0, 20, 30), "u1"), "empty"),
        (np.zeros((3, 20, 30), complex), "real numbers"),
        (np.zeros((20, 30), "u1"), "one letter"),
    ):
        with pytest.raises(UserError, match=word):
            add_image(project, data, AXES, "a")
    with pytest.raises(UserError, match="needs the axes"):
        add_image(project, np.zeros((3, 20, 30), "u1"), Axes.of("TZX"), "a")
    assert project.record.images == ()


class Slow:
    """A lazy array whose every block must be let through."""

    def __init__(self, data, chunks=None):
        self.data, self.chunks = data, chunks
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.gate = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.fails: Exception | None = None
        self.regions: list = []

    def __getitem__(self, key):
        self.asked.release()
        assert self.gate.acquire(timeout=30)
        if self.fails is not None:
            raise self.fails
        self.regions.append(key)
        return self.data[key]


@pytest.fixture
def slow(monkeypatch):
    """An array in eight blocks, and a window that does not wait for it."""
    monkeypatch.setattr(images, "_PATIENCE", 0.01)
    monkeypatch.setattr("napari_fcn.workbench.copying._BLOCK_BYTES", 600)
    return Slow(noise(8, 20, 30))


def begin(slow, book):
    """Start copying, as far as the first block is asked for."""
    image = book.add_image(slow, AXES, "a")
    assert slow.asked.acquire(timeout=30)
    return image


def until(book, condition):
    for _ in range(3000):
        book.poll()
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


@pytest.fixture
def book(tmp_path):
    book = Workbench(tmp_path / "home")
    yield book
    book.close()


def test_copying_goes_on_beside_the_window_and_shows_how_far(slow, book):
    image = begin(slow, book)
    shares = []
    book.status_changed.connect(lambda s: shares.append((s.job, s.share)))
    assert book.status.job == "copy"
    for _ in range(2):
        slow.gate.release()
        assert slow.asked.acquire(timeout=30)
    until(book, lambda: book.status.share == 0.25)
    with pytest.raises(UserError):
        image.pixels(book.project.folder)
    book.labels(image.key)[1, 2:9, 3] = 2  # paint meanwhile
    slow.gate.release(6)
    until(book, lambda: not book.status.job)
    np.testing.assert_array_equal(pixels(book.project, image), slow.data)
    assert book.labels(image.key)[1, 2, 3] == 2
    assert ("copy", 0.25) in shares
    assert shares[-1] == ("", 0.0)


def test_copying_is_cancelled_and_begun_again(slow, book):
    said = []
    book.said.connect(said.append)
    image = begin(slow, book)
    book.labels(image.key)[1, 2:9, 3] = 2
    book.cancel_job()
    slow.gate.release()
    until(book, lambda: said)
    assert "cancelled" in said[0]
    assert book.status.job == ""
    assert copies(book.project) == []
    slow.gate.release(10)
    again = book.add_image(slow, AXES, "a")
    assert again == image
    until(book, lambda: not book.status.job)
    np.testing.assert_array_equal(pixels(book.project, again), slow.data)
    assert book.labels(again.key)[1, 2, 3] == 2


def test_training_that_waits_for_the_copy_is_called_off_with_it(slow, book):
    said = []
    book.said.connect(said.append)
    image = begin(slow, book)
    book.labels(image.key)[1, 2:9, 3] = 2
    book.train()
    assert "as soon as the image is copied" in said[-1]
    slow.fails = KeyError("block")
    slow.gate.release()
    until(book, lambda: not book.status.job)
    assert said[-1].startswith("The image cannot be read ('block')")
    assert book.status.state == "ready"
    assert book.engine_pid is None
    assert copies(book.project) == []


def test_an_array_that_cannot_be_read_is_said_at_once(project):
    broken = Slow(noise(4, 20, 30))
    broken.fails = ZeroDivisionError()
    broken.gate.release()
    with pytest.raises(UserError, match=r"cannot be read .ZeroDivisionError."):
        add_image(project, broken, AXES, "a")
    assert project.record.images == ()
    assert copies(project) == []


def test_the_window_closes_while_copying(slow, book):
    image = begin(slow, book)
    book.close()
    slow.gate.release(10)
    book._open.copies[image.key].wait(30)
    assert copies(book.project) == []


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((50, 40, 30), ((16, 16, 18), (40,), (30,))),
        ((7, 2, 40, 30), ((1,) * 7, (2,), (20, 20), (30,))),
        ((4, 100, 90), ((4,), (25,) * 4, (30,) * 3)),
    ],
)
def test_chunks_are_computed_once(project, monkeypatch, shape, chunks):
    monkeypatch.setattr("napari_fcn.workbench.copying._BLOCK_BYTES", 20_000)
    seen = []

    def block(x, block_info=None):
        if block_info:
            seen.append(block_info[0]["chunk-location"])
        return x

    data = da.from_array(noise(*shape), chunks=chunks).map_blocks(block, dtype="u1")
    axes = Axes.of("ZCYX"[-len(shape) :] if len(shape) == 4 else "ZYX")
    _, copy = add_image(project, data, axes, "a")
    if copy is not None:
        copy.wait()
    assert len(seen) == np.prod([len(c) for c in chunks])
    assert len(set(seen)) == len(seen)


def test_a_copy_is_cut_for_reading_planes(project):
    data = np.zeros((600, 3, 40, 30), np.uint8)
    image, _ = add_image(project, data, Axes.of("TCYX"), "a")
    assert image.pixels(project.folder).chunks == (1, 3, 40, 30)
