"""Dots, areas, boxes and targets of an image on disk."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.targets import (
    Area,
    CountBox,
    Dot,
    Targets,
    read_targets,
    write_targets,
)

_SQUARE = ((0.0, 0.0), (0.0, 5.5), (5.5, 5.5), (5.5, 0.0))
_WRITER = """
import sys
from pathlib import Path
from napari_fcn.project.targets import Dot, Targets, write_targets
print("ready", flush=True)
dots = []
while True:
    dots.append(Dot(place=(len(dots), 0), value=2))
    write_targets(Path(sys.argv[1]), "cells", Targets(dots=tuple(dots)))
    print(len(dots), flush=True)
"""


@pytest.fixture
def project(tmp_path):
    result = Project.create(tmp_path / "work")
    result.add_image("cells", tmp_path / "cells.tif", "file", Axes.of("YX"), (9, 9))
    return result


def test_what_is_written_is_read(project):
    target = project.describe(
        "target-0",
        "stain",
        project.folder / "a.zarr",
        "zarr",
        Axes.of("CYX"),
        (2, 9, 9),
    )
    written = Targets(
        dots=(Dot(place=(1.5, 2), value=3),),
        dotted=(Area(form="ellipse", corners=_SQUARE),),
        boxes=(CountBox(corners=_SQUARE, counts={2: 7.0}), CountBox(corners=_SQUARE)),
        targets=(target,),
        trusted=(Area(form="polygon", corners=_SQUARE),),
    )
    write_targets(project.folder, "cells", written)
    found = read_targets(project.folder, "cells")
    assert found == written
    assert found.outputs == ("stain 1", "stain 2")


def test_nothing_is_there_at_first(project):
    assert read_targets(project.folder, "cells") == Targets()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"dots": 3}', b"\xff\xfe"])
def test_damage_is_told_and_nothing_is_lost(project, damage):
    path = project.folder / "targets" / "cells.json"
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(UserError, match="restore it from a copy"):
        read_targets(project.folder, "cells")
    assert path.read_bytes() == damage


def test_nothing_is_written_through_a_link_out_of_the_project(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project.folder / "targets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="leads out of the project"):
        write_targets(project.folder, "cells", Targets())


def test_a_kill_at_any_moment_loses_no_dot_that_was_kept(project):
    command = [sys.executable, "-c", _WRITER, str(project.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.2)
        writer.kill()
        told = [int(line) for line in writer.stdout.read().split()]
    kept = len(read_targets(project.folder, "cells").dots)
    assert kept - (told[-1] if told else 0) in (0, 1)


def test_each_task_has_a_run_of_its_own(project):
    model, checkpoint = project.model, project.checkpoint
    project.update(task="density")
    assert project.model != model
    assert project.checkpoint != checkpoint
    assert project.snapshots.name == "density-snapshots"
    assert Project.open(project.folder).record.task == "density"


def test_a_new_image_of_an_old_key_begins_without_dots(project, tmp_path):
    write_targets(project.folder, "other", Targets(dots=(Dot(place=(1, 1), value=2),)))
    image = project.add_image(
        "other", tmp_path / "other.tif", "file", Axes.of("YX"), (9, 9)
    )
    assert read_targets(project.folder, image.key) == Targets()
