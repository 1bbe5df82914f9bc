"""Projects of the first format are brought up to date, and stay as they were beside."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest
from tests.disks import small_disk

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.project import Project, migration
from napari_fcn.workbench.session import Workbench

AXES = Axes.of("ZYX")
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 70, 80)).astype(np.uint8)


@pytest.fixture
def old(tmp_path):
    """A project of the first format, with a copied and a linked image."""
    return make_old(tmp_path / "home")


def make_old(home):
    book = Workbench(home)
    np.save(home.parent / "cells.npy", PIXELS)
    linked = book.add_image(PIXELS, AXES, "cells", home.parent / "cells.npy")
    copied = book.add_image(PIXELS, AXES, "copied")
    for key in (linked.key, copied.key):
        book.labels(key)[1, 5, 5] = 2
        book.keep_stroke(key)
    for copy in book._opened().copies.values():
        copy.wait()
    project = book.project
    book.close()
    project.model.write_bytes(b"a network")
    project.history.write_text('{"seconds": 1, "loss": 1, "step": 1}\n')
    file = project.folder / "project.json"
    raw = json.loads(file.read_text())
    raw["format"] = 1
    for image in raw["images"]:
        for name in ("near", "fingerprint", "testing"):
            del image[name]
    file.write_text(json.dumps(raw))
    return project.folder


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "in-use.json"
    }


def version(folder):
    return json.loads((folder / "project.json").read_text())["format"]


def test_all_of_it_stays_as_it_was_beside(old, tmp_path):
    before = contents(old)
    assert Project.open(old).record.format == 2
    assert contents(old) == before  # looking at it changes nothing
    book, said = Workbench(tmp_path / "home"), []
    book.said.connect(said.append)
    book.open_project(old)
    copied = old.with_name("cells-format-1.fcnproj")
    assert len(said) == 1
    assert copied.name in said[0]
    assert version(old) == 2
    assert contents(copied) == before
    # what happens now does not reach the copy
    for image in book.project.record.images:
        assert image.pixels(old).shape == PIXELS.shape
        assert book.labels(image.key)[1, 5, 5] == 2
        book.labels(image.key)[1, 5, 5] = 1
        book.keep_stroke(image.key)
    book.flush()
    book.project.update(task="density")
    book.close()
    assert contents(copied) == before
    again = Project.open(copied)  # the ways to both images are right
    for image in again.record.images:
        np.testing.assert_array_equal(image.pixels(copied)[...], PIXELS)
    book.open_project(old)
    assert len(said) == 1  # it is done once
    book.close()


def test_only_what_is_replaced_as_a_whole_is_shared(old, tmp_path):
    book = Workbench(tmp_path / "home")
    book.open_project(old)
    copied = old.with_name("cells-format-1.fcnproj")
    book.close()
    for name in contents(old):
        one, other = old / name, copied / name
        if one.exists() and other.exists() and one.stat().st_ino == other.stat().st_ino:
            assert name.split("/")[0] in ("images", "models")


def copy_until_killed(old, files):
    """In a process of its own: bring a project up to date, but die while copying."""
    copy, left = migration._copy, [files]

    def copy_or_die(*args, **options):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        copy(*args, **options)

    migration._copy = copy_or_die
    Project.open(old).bring_up_to_date()
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_it_copies(old):
    before, at = contents(old), 0
    while version(old) == 1:
        at += 4
        child = os.fork()
        if not child:
            copy_until_killed(old, at)
        os.waitpid(child, 0)
        found = [p for p in old.parent.glob("*.fcnproj") if p != old]
        for copied in found:
            if (copied / "project.json").exists():
                assert contents(copied) == before
        if version(old) == 1:
            assert contents(old) == before
            assert all(p.name.startswith(".") for p in found)
    assert at > 12
    assert [p.name for p in found] == ["cells-format-1.fcnproj"]


def test_no_room_and_nothing_to_write_on(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        old = make_old(tmp_path / "disk" / "home")
        before = contents(old)
        disk.fill()
        book = Workbench(tmp_path / "home")
        with pytest.raises(UserError, match="the disk is full") as caught:
            book.open_project(old)
        assert str(caught.value).count(". ") == 0
        assert contents(old) == before
        assert list(old.parent.glob("*.fcnproj")) == [old]
        assert book.project is None
        disk.set_read_only(True)
        book.open_project(old)  # to look at it
        assert book.project.record.format == 2
        book.close()
        disk.set_read_only(False)
        disk.make_room()
        book.open_project(old)
        book.close()
        assert contents(old.with_name("cells-format-1.fcnproj")) == before


def test_where_files_cannot_be_shared(old, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(type(old), "hardlink_to", refuse)
    (old / "images" / "way").symlink_to("../models")
    copied = Project.open(old).bring_up_to_date()
    shutil.copyfile(copied / "project.json", old / "project.json")
    assert contents(copied) == contents(old)
    assert (copied / "images" / "way").is_symlink()
