"""Full disks, damaged projects and a window that dies, with a real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

import numpy as np
import pytest

from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.engine.checkpoint import load_checkpoint
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.workbench.session import Workbench


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Leave no room in a file system, and return the file that takes it."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def test_strokes_survive_a_full_disk(small_disk, monkeypatch):
    monkeypatch.setattr("napari_fcn.workbench.stores._RETRY", 0.2)
    book = Workbench(small_disk)
    said: list[str] = []
    book.said.connect(said.append)
    image, _ = samples.blobs(2, 64)
    entry = book.add_image(image, Axes.of("ZYX"), "cells")
    store = book.labels(entry.key)
    filler = fill(small_disk)
    random = np.random.default_rng(0)
    strokes = random.integers(0, 3, store.shape).astype(np.uint8)
    store[...] = strokes
    book.poll()
    assert store.dirty
    assert len(said) == 1
    assert "kept in memory" in said[0]
    np.testing.assert_array_equal(store[...], strokes)
    filler.unlink()
    end = time.monotonic() + 10
    while store.dirty:
        assert time.monotonic() < end
        book.poll()
        time.sleep(0.02)
    on_disk = entry.labels(book.project.folder)
    np.testing.assert_array_equal(on_disk[...], strokes)
    book.close()


def test_strokes_in_memory_are_not_left_for_another_project(small_disk, tmp_path):
    book = Workbench(small_disk)
    image, _ = samples.blobs(2, 64)
    entry = book.add_image(image, Axes.of("ZYX"), "cells")
    first, other = book.project.folder, tmp_path / "other.fcnproj"
    Project.create(other)
    filler = fill(small_disk)
    store = book.labels(entry.key)
    strokes = np.random.default_rng(0).integers(0, 3, store.shape).astype(np.uint8)
    store[...] = strokes
    for leave in (lambda: book.open_project(other), lambda: book.create_project("b")):
        with pytest.raises(UserError, match="make room"):
            leave()
        assert book.project.folder == first
        np.testing.assert_array_equal(book.labels(entry.key)[...], strokes)
    filler.unlink()
    book.open_project(other)  # there is room again: they are written first
    book.open_project(first)
    np.testing.assert_array_equal(book.labels(entry.key)[...], strokes)
    book.close()


def test_the_engine_ends_by_itself_when_the_window_is_killed(tmp_path):
    """kill -9 of the window's process: the run is kept, the engine is gone."""
    script = textwrap.dedent(
        """
        import sys, time
        from functools import partial
        from pathlib import Path
        from napari_fcn.config import NetworkConfig, TrainingConfig
        from napari_fcn.data import samples
        from napari_fcn.data.axes import Axes
        from napari_fcn.workbench.process import EngineProcess
        from napari_fcn.workbench.session import Workbench
        book = Workbench(Path(sys.argv[1]), partial(EngineProcess, threads=1, nice=0))
        book.start_engine()
        image, truth = samples.blobs(2, 64)
        entry = book.add_image(image, Axes.of("ZYX"), "cells")
        book.project.update(
            network=NetworkConfig(width=4, depth=1),
            training=TrainingConfig(crop=32, batch=2),
        )
        book.labels(entry.key)[...] = samples.strokes(truth, 18)
        book.train()
        while True:
            book.poll()
            if book.status.step > 5:
                print(book.engine_pid, flush=True)
            time.sleep(0.02)
        """
    )
    window = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    engine = int(window.stdout.readline())
    window.send_signal(signal.SIGKILL)
    window.communicate()
    end = time.monotonic() + 60
    while _runs(engine):
        assert time.monotonic() < end, "the engine still runs"
        time.sleep(0.1)
    project = Project.open(tmp_path / "cells.fcnproj")
    assert load_checkpoint(project.checkpoint).step > 5
    labels = project.record.images[0].labels(project.folder)[...]
    assert {1, 2} <= set(np.unique(labels))


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_engine_is_killed_while_applying(bench):
    book = bench.workbench
    book.start_engine()
    entry, _, _ = bench.open_blobs(slices=60)
    book.train()
    bench.until(lambda: book.status.step >= 3, "steps")
    book.apply(entry)
    bench.until(lambda: book.status.share > 0, "progress")
    os.kill(book.engine_pid, signal.SIGKILL)
    bench.until(lambda: bench.jobs, "the end of the job")
    assert [j.reason for j in bench.jobs] == ["failed"]
    assert [f.reason for f in bench.finished] == ["failed"]
    assert not entry.prediction_path(book.project.folder, "masks").exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 1, "images": 3}', "\x00"]
)
def test_damaged_projects(tmp_path, content):
    project = Project.create(tmp_path / "p")
    (project.folder / "project.json").write_text(content)
    with pytest.raises(UserError, match="damaged"):
        Project.open(project.folder)


def test_hostile_projects_do_not_leave_their_folder(tmp_path):
    project = Project.create(tmp_path / "p")
    image, _ = samples.blobs(1, 32)
    book = Workbench(tmp_path)
    book.open_project(project.folder)
    book.add_image(image, Axes.of("ZYX"), "cells")
    file = project.folder / "project.json"
    for bad in ("../../escape", "/etc/passwd", "a/b", ""):
        text = file.read_text().replace('"key": "cells"', f'"key": "{bad}"')
        (tmp_path / "hostile.fcnproj").mkdir(exist_ok=True)
        (tmp_path / "hostile.fcnproj" / "project.json").write_text(text)
        with pytest.raises(UserError, match="damaged"):
            Project.open(tmp_path / "hostile.fcnproj")


def test_an_image_that_has_changed_is_not_trained_on(bench, tmp_path):
    book = bench.workbench
    image, truth = samples.blobs(2, 64)
    path = tmp_path / "image.npy"
    np.save(path, image)
    entry = book.add_image(image, Axes.of("ZYX"), "cells", path)
    assert entry.kind == "file"
    book.labels(entry.key)[...] = samples.strokes(truth, 18)
    np.save(path, image[:, :32])
    book.train()
    bench.until(lambda: bench.finished, "the refusal")
    assert bench.finished[0].reason == "failed"
    assert "put the right image back" in bench.finished[0].message
    path.unlink()
    book.train()
    bench.until(lambda: len(bench.finished) == 2, "the refusal")
    assert "no file" in bench.finished[1].message
