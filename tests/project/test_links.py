"""Linked images that move, vanish or change; older formats; the list of projects."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.recent import RecentProjects
from napari_fcn.workbench.session import Workbench

AXES = Axes.of("ZYX")
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 70, 80)).astype(np.uint8)


@pytest.fixture
def book(tmp_path):
    workbench = Workbench(tmp_path / "home")
    yield workbench
    workbench.close()


@pytest.fixture
def linked(book, tmp_path):
    """A project with a linked image and a stroke, and the image file."""
    file = tmp_path / "images" / "cells.npy"
    file.parent.mkdir()
    np.save(file, PIXELS)
    entry = book.add_image(PIXELS, AXES, "cells", file)
    book.labels(entry.key)[1, 5, 5] = 2
    book.flush()
    return entry, file


def test_another_image_of_the_same_shape_is_noticed(book, linked):
    entry, file = linked
    np.testing.assert_array_equal(entry.pixels(book.project.folder), PIXELS)
    np.save(file, PIXELS[:, ::-1])
    with pytest.raises(UserError, match="not the one that was painted on"):
        entry.pixels(book.project.folder)
    chosen = book.project.relink(entry.key, file)
    np.testing.assert_array_equal(chosen.pixels(book.project.folder), PIXELS[:, ::-1])
    assert book.labels(entry.key)[1, 5, 5] == 2


def test_project_and_images_move_together(book, linked, tmp_path):
    book.close()
    shutil.move(tmp_path / "home", tmp_path / "disk" / "home")
    shutil.move(tmp_path / "images", tmp_path / "disk" / "images")
    folder = tmp_path / "disk" / "home" / "cells.fcnproj"
    found = Project.open(folder).record.images[0]
    np.testing.assert_array_equal(found.pixels(folder), PIXELS)
    # the same file is not taken for another image
    again = Workbench(tmp_path / "home")
    again.open_project(folder)
    file = tmp_path / "disk" / "images" / "cells.npy"
    assert again.add_image(PIXELS, AXES, "cells", file).key == found.key
    again.close()


def test_an_image_beside_the_project_is_found_by_its_name(book, linked, tmp_path):
    entry, file = linked
    shutil.move(file, tmp_path / "home" / "cells.npy")
    np.testing.assert_array_equal(entry.pixels(book.project.folder), PIXELS)


def test_a_missing_image_is_found_again_by_the_user(book, linked, tmp_path):
    entry, file = linked
    elsewhere = tmp_path / "elsewhere.npy"
    shutil.move(file, elsewhere)
    with pytest.raises(UserError, match="no file"):
        entry.pixels(book.project.folder)
    np.save(tmp_path / "other.npy", PIXELS[:2])
    with pytest.raises(UserError, match="shape"):
        book.project.relink(entry.key, tmp_path / "other.npy")
    assert book.project.image(entry.key) == entry
    found = book.project.relink(entry.key, elsewhere)
    np.testing.assert_array_equal(found.pixels(book.project.folder), PIXELS)


def test_moving_a_project_from_the_window(book, linked, tmp_path):
    entry, _ = linked
    before = book.project.folder
    (tmp_path / "new").mkdir()
    project = book.move_project(tmp_path / "new")
    assert project.folder == tmp_path / "new" / "cells.fcnproj"
    assert not before.exists()
    assert book.labels(entry.key)[1, 5, 5] == 2
    assert book.undo(entry.key)
    moved = project.image(entry.key)
    np.testing.assert_array_equal(moved.pixels(project.folder), PIXELS)
    assert book.recent.folders() == [project.folder]
    (tmp_path / "home" / "cells.fcnproj").mkdir()
    with pytest.raises(UserError, match="choose elsewhere"):
        book.move_project(tmp_path / "home")


def test_hostile_boxes_are_refused(book, linked):
    file = book.project.folder / "project.json"
    raw = json.loads(file.read_text())
    for box in ([[0, 1]], [[0, 9], [0, 1], [0, 1]], [[1, 1], [0, 1], [0, 1]], [], "x"):
        raw["images"][0]["testing"] = [box]
        file.write_text(json.dumps(raw))
        with pytest.raises(UserError, match="damaged"):
            Project.open(book.project.folder)


def test_the_recent_project_that_has_an_image(book, linked, tmp_path):
    _, path = linked
    assert book.recent.with_image(path) == book.project.folder
    assert book.recent.with_image(tmp_path / "missing.npy") is None
    (book.project.folder / "project.json").write_text("{")
    assert book.recent.with_image(path) is None


def test_recent_projects(tmp_path):
    recent = RecentProjects(tmp_path / "data" / "projects.json")
    assert recent.folders() == []
    assert recent.home is None
    folders = [Project.create(tmp_path / name).folder for name in ("a", "b", "c")]
    for folder in folders:
        recent.note(folder)
    recent.note(folders[0])
    recent.home = tmp_path
    again = RecentProjects(tmp_path / "data" / "projects.json")
    assert again.folders() == [folders[0], folders[2], folders[1]]
    assert again.home == tmp_path
    shutil.rmtree(folders[2])
    assert again.folders() == [folders[0], folders[1]]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"recent": 3}', '{"recent": [1, "\\u0000"]}']
)
def test_a_damaged_list_of_projects_is_empty(tmp_path, content):
    file = tmp_path / "projects.json"
    file.write_text(content)
    assert RecentProjects(file).folders() == []
    folder = Project.create(tmp_path / "a").folder
    RecentProjects(file).note(folder)
    assert RecentProjects(file).folders() == [folder]
