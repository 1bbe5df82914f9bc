"""Project folders: round trip, moving, damage, newer versions, hostile content."""

from __future__ import annotations

import errno
import json
import os
import subprocess

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.config import ClassInfo, NetworkConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError
from napari_fcn.project import Project, ProjectImage
from napari_fcn.project.folder import SUFFIX, folder_name

AXES = Axes.of("ZYX", (2.0, 0.5, 0.5), "micrometer")
PIXELS = np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9)


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "cells")


def add(project, name="cells") -> ProjectImage:
    target = project.folder / "images" / f"{project.free_key(name)}.zarr"
    zarr.create_array(str(target), data=PIXELS)
    return project.add_image(name, target, "zarr", AXES, PIXELS.shape)


def edit(project, change) -> None:
    """Change project.json by hand, as another program or an attacker would."""
    file = project.folder / "project.json"
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


def test_round_trip(project):
    image = add(project)
    classes = (
        ClassInfo(value=1, name="background", background=True),
        ClassInfo(value=7, name="Zelle – 細胞\n"),
    )
    project.update(classes=classes, network=NetworkConfig(width=8))
    found = Project.open(project.folder)
    assert found.record == project.record
    assert found.image(image.key) == image
    assert image.axes.axes() == AXES
    np.testing.assert_array_equal(image.pixels(found.folder)[...], PIXELS)


def test_a_moved_folder_finds_images_labels_and_predictions(project, tmp_path):
    image = add(project)
    labels = image.labels(project.folder)
    labels[1, 2:4, 3] = 2
    labels.flush()
    image.prediction(project.folder)
    moved = tmp_path / "elsewhere" / "renamed.fcnproj"
    moved.parent.mkdir()
    project.folder.rename(moved)
    found = Project.open(moved).record.images[0]
    np.testing.assert_array_equal(found.pixels(moved)[...], PIXELS)
    assert found.labels(moved, writable=False)[1, 2:4, 3].tolist() == [2, 2]
    assert found.prediction(moved).shape == PIXELS.shape


def test_an_image_outside_stays_linked_where_it_is(project, tmp_path):
    np.save(tmp_path / "a b ü.npy", PIXELS)
    odd = tmp_path / "cells.fcnproj" / ".." / "a b ü.npy"
    image = project.add_image("a", odd, "file", AXES, PIXELS.shape)
    assert image.path == str(tmp_path / "a b ü.npy")
    np.testing.assert_array_equal(image.pixels(project.folder)[...], PIXELS)


def test_images_of_the_same_name_get_their_own_labels(project):
    first, second, third = add(project), add(project), add(project, "cells-2")
    assert len({first.key, second.key, third.key}) == 3
    store = first.labels(project.folder)
    store[...] = 1
    store.flush()
    assert not second.labels(project.folder)[...].any()


def test_free_names(tmp_path):
    made = [Project.create(tmp_path / "cells").folder.name for _ in range(3)]
    assert made == [f"cells{n}{SUFFIX}" for n in ("", "-2", "-3")]
    (tmp_path / f"link{SUFFIX}").symlink_to(tmp_path / "nowhere")
    assert Project.create(tmp_path / "link").folder.name == f"link-2{SUFFIX}"


@given(st.text(st.characters(), max_size=400))
def test_any_name_gives_a_folder_that_can_be_made(tmp_path_factory, name):
    stem = folder_name(name)
    place = tmp_path_factory.getbasetemp() / f"{stem}{SUFFIX}"
    assert place.parent == tmp_path_factory.getbasetemp()
    assert place.name not in (SUFFIX, f".{SUFFIX}")
    place.mkdir(exist_ok=True)
    place.rmdir()
    assert folder_name(stem) == stem


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": "1"}',
     b'{"format": 1, "unknown": 2}', b'{"classes": 3}', b'{"format": ' + b"9" * 5000],
)  # fmt: skip
def test_damaged_json_is_said_and_left_alone(project, content):
    file = project.folder / "project.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged; restore it from a copy|newer"):
        Project.open(project.folder)
    assert file.read_bytes() == content


def test_a_newer_version_is_not_called_damaged(project):
    edit(project, lambda r: r.update(format=99, a_field_of_the_future=1))
    with pytest.raises(UserError, match="update napari-fcn"):
        Project.open(project.folder)


def test_no_project_there(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "file", tmp_path / "none"):
        with pytest.raises(UserError, match="There is no project"):
            Project.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../x"},
        {"key": "/etc/x"},
        {"key": "a\n"},
        {"key": ""},
        {"key": "a/b"},
        {"key": ".."},
        {"path": "../other.fcnproj/images/a.zarr"},
        {"path": "images/../../x.tif"},
        {"path": "images\\..\\..\\x.tif"},
        {"path": "a\0.tif"},
        {"shape": [2, 8]},
        {"shape": [2, 0, 9]},
        {"shape": [2, -8, 9]},
        {"axes": {**AXES.__dict__, "names": "ZZX"}},
        {"axes": {**AXES.__dict__, "scale": [1, 0, 1]}},
        {"kind": "pickle"},
    ],
)
def test_a_hostile_image_is_refused(project, change):
    add(project)
    edit(project, lambda r: r["images"][0].update(change))
    with pytest.raises(UserError, match="damaged"):
        Project.open(project.folder)


def test_two_images_cannot_share_their_labels(project):
    add(project)
    edit(project, lambda r: r["images"].append(r["images"][0]))
    with pytest.raises(UserError, match="damaged"):
        Project.open(project.folder)


def test_what_could_not_be_read_again_is_not_written(project):
    twice = project.record.classes[:1] * 2
    before = (project.folder / "project.json").read_bytes()
    with pytest.raises(ValueError, match="same"):
        project.update(classes=twice)
    assert (project.folder / "project.json").read_bytes() == before


@pytest.mark.parametrize("what", ["labels", "predictions"])
def test_no_link_leads_writing_out_of_the_project(project, tmp_path, what):
    image = add(project)
    outside = ChunkStore.create(tmp_path / "mine.zarr", PIXELS.shape, "uint8")
    outside[...] = 9
    outside.flush()
    name = image.key if what == "labels" else f"{image.key}-live"
    place = project.folder / what / f"{name}.zarr"
    if place.exists():
        place.rename(tmp_path / "aside")
    place.symlink_to(tmp_path / "mine.zarr")
    open_it = image.labels if what == "labels" else image.prediction
    with pytest.raises(UserError, match="leads out of the project"):
        open_it(project.folder)
    assert (ChunkStore.open(tmp_path / "mine.zarr")[...] == 9).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "chunks"),
    [
        ((2, 8, 8), "u1", (1, 8, 8)),
        (PIXELS.shape, "f4", (1, 8, 9)),
        (PIXELS.shape, "u1", (2**20, 2**20, 2**20)),
    ],
)
def test_labels_that_do_not_belong_to_the_image(project, shape, dtype, chunks):
    image = add(project)
    place = project.folder / "labels" / f"{image.key}.zarr"
    zarr.create_array(
        str(place), shape=shape, dtype=dtype, chunks=chunks, overwrite=True
    )
    with pytest.raises(UserError, match="do not belong to cells"):
        image.labels(project.folder)


def test_a_prediction_that_does_not_fit_is_made_anew(project):
    image = add(project)
    place = image.prediction_path(project.folder)
    for make in (
        lambda: ChunkStore.create(place, (3, 3), "uint8"),
        lambda: (place.mkdir(), (place / "zarr.json").write_text("{")),
        lambda: place.write_text("a file"),
    ):
        make()
        assert image.prediction(project.folder).shape == PIXELS.shape
        subprocess.run(["rm", "-r", place], check=True)


def test_a_changed_or_missing_image_is_said(project, tmp_path):
    file = tmp_path / "image.npy"
    np.save(file, PIXELS)
    image = project.add_image("a", file, "file", AXES, PIXELS.shape)
    np.save(file, PIXELS[:, :7])
    with pytest.raises(UserError, match=r"now has shape \(2, 7, 9\)"):
        image.source(project.folder, 2)
    file.unlink()
    with pytest.raises(UserError, match="There is no file"):
        image.source(project.folder, 2)
    copy = add(project)
    (project.folder / copy.path / "zarr.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        copy.pixels(project.folder)


def test_a_file_name_that_is_not_unicode_is_said(project, tmp_path):
    place = tmp_path / os.fsdecode(b"\xff.npy")
    with pytest.raises(UserError, match="not Unicode"):
        project.add_image("a", place, "file", AXES, PIXELS.shape)
    assert project.add_image(place.name, tmp_path / "a", "file", AXES, PIXELS.shape)
    assert Project.open(project.folder).record == project.record


def test_nothing_is_half_done_when_the_disk_refuses(project, tmp_path, monkeypatch):
    """The disk fills up between the labels of a new image and project.json."""
    add(project)
    before = project.record
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real = os.fsync

    def refuse(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("project.json"):
            raise full
        real(descriptor)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell which file is written")
    monkeypatch.setattr(os, "fsync", refuse)
    target = project.folder / "images" / "b.zarr"
    with pytest.raises(UserError, match="The disk is full"):
        project.add_image("b", target, "zarr", AXES, PIXELS.shape)
    with pytest.raises(UserError, match="The disk is full"):
        project.update(network=NetworkConfig(width=4))
    with pytest.raises(UserError, match="The disk is full"):
        Project.create(tmp_path / "other")
    monkeypatch.undo()
    assert project.record == before
    assert Project.open(project.folder).record == before
    assert [p.name for p in (project.folder / "labels").iterdir()] == ["cells.zarr"]
    assert not (tmp_path / f"other{SUFFIX}").exists()
