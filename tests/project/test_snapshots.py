"""Models of a project at earlier times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.models import put_model

from napari_fcn.engine.model import load_model
from napari_fcn.errors import UserError
from napari_fcn.project import Project
from napari_fcn.project.snapshots import (
    MOST,
    _name_of,
    _time_of,
    keep_snapshot,
    return_to,
    set_aside,
    snapshots,
)


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "p")


def test_kept_listed_and_returned_to(project):
    with pytest.raises(UserError, match="train first"):
        keep_snapshot(project)
    for steps, score in ((10, None), (20, 0.9), (30, 0.7)):
        put_model(project.model, steps, score)
        keep_snapshot(project)
        assert keep_snapshot(project) is None  # that one is there
    found = snapshots(project)
    assert [(s.steps, s.score) for s in found] == [(30, 0.7), (20, 0.9), (10, None)]
    project.checkpoint.write_bytes(b"x")
    put_model(project.model, 40, 0.6)
    return_to(project, found[1])
    assert load_model(project.model).config.training["steps"] == 20
    assert not project.checkpoint.exists()
    assert snapshots(project)[0].steps == 40  # nothing is lost by going back


def test_what_is_damaged_is_left_out(project):
    put_model(project.model, 1, None)
    keep_snapshot(project)
    folder = project.folder / "models" / "snapshots"
    (folder / "broken.safetensors").write_bytes(b"\x00" * 30)
    (folder / "empty.safetensors").write_bytes(b"")
    assert len(snapshots(project)) == 1
    project.model.write_bytes(b"broken")
    with pytest.raises(UserError, match="damaged"):
        keep_snapshot(project)


def test_old_ones_are_thinned_out(project):
    for steps in range(3 * MOST):
        put_model(project.model, steps, None)
        keep_snapshot(project)
    found = [s.steps for s in snapshots(project)]
    assert len(found) <= MOST + 1
    assert found[:5] == [3 * MOST - 1 - n for n in range(5)]
    assert found[-1] < MOST


def test_going_back_forgets_no_snapshot_that_is_gone_back_to(project):
    for steps in range(MOST):
        put_model(project.model, steps, None)
        keep_snapshot(project)
    found = snapshots(project)
    for chosen in (found[3], found[MOST // 2]):
        return_to(project, chosen)
        kept = load_model(project.model).config.training["steps"]
        assert kept == chosen.steps
        assert chosen.path.is_file()


def test_a_snapshot_set_aside_outlives_its_file(project):
    put_model(project.model, 1, 0.5)
    kept = set_aside(project, keep_snapshot(project))
    snapshots(project)[0].path.unlink()
    put_model(project.model, 2, None)
    return_to(project, kept)
    assert load_model(project.model).config.training["steps"] == 1
    assert [s.steps for s in snapshots(project)] == [2]


@given(times=st.lists(st.integers(0, 4 * 10**18), min_size=2, max_size=9, unique=True))
@example(times=[1_700_000_000_999_999_999, 1_700_000_001_000_000_000])
def test_the_order_of_the_names_is_that_of_the_times(times):
    names = [_name_of(time) for time in sorted(times)]
    assert names == sorted(names)
    for name, time in zip(names, sorted(times), strict=True):
        assert _time_of(Path(f"{name}.safetensors")) == pytest.approx(time / 1e9)
