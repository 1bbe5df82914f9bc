"""Two windows, killed programs, other computers, folders that cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.disks import small_disk

from napari_fcn.errors import UserError
from napari_fcn.project.lock import ProjectLock
from napari_fcn.workbench.session import Workbench

HOLD = (
    "import sys; from pathlib import Path; from napari_fcn.project.lock import *;"
    "lock = ProjectLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_window_is_told(tmp_path):
    first = Workbench(tmp_path)
    folder = first.create_project("cells").folder
    second = Workbench(tmp_path)
    with pytest.raises(UserError, match="open in another window; close it there"):
        second.open_project(folder)
    assert second.project is None
    first.close()
    assert second.open_project(folder).folder == folder
    second.create_project("other")  # leaves the first one
    first.open_project(folder)
    first.close()
    second.close()


def test_another_program_and_its_violent_end(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"program \\(process {program.pid}\\)"):
        ProjectLock(tmp_path)
    program.kill()
    program.communicate()
    assert (tmp_path / "in-use.json").is_file()
    lock = ProjectLock(tmp_path)
    lock.release()
    assert not (tmp_path / "in-use.json").exists()


def test_a_number_that_another_process_has_now(tmp_path):
    lock = ProjectLock(tmp_path)
    file = tmp_path / "in-use.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, "started": facts["started"] - 100}))
    ProjectLock(tmp_path).release()
    lock.release()


def test_another_computer(tmp_path):
    facts = {"process": 1, "started": 0, "computer": "elsewhere"}
    (tmp_path / "in-use.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="in use on the computer elsewhere"):
        ProjectLock(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": "x"}', "\x00" * 50])
def test_a_damaged_lock_is_none(tmp_path, content):
    (tmp_path / "in-use.json").write_text(content)
    ProjectLock(tmp_path).release()


def test_where_nothing_can_be_written_there_is_no_lock(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        disk.set_read_only(True)
        first, second = ProjectLock(disk.folder), ProjectLock(disk.folder)
        first.release()
        second.release()
