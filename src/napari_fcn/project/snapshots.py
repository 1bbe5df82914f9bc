"""Models of a project as they were at some time, to go back to."""

from __future__ import annotations

import calendar
import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from napari_fcn.data.files import copy_file
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fcn.project.folder import Project

MOST = 20


@dataclass(frozen=True)
class Snapshot:
    """A model as it was.

    Attributes
    ----------
    path : Path
        The model file.
    time : float
        When it was kept, in seconds since 1970.
    steps : int
        Training steps.
    score : float, optional
        On strokes that it never saw, where there were such.
    """

    path: Path
    time: float
    steps: int
    score: float | None


def snapshots(project: Project) -> list[Snapshot]:
    """Return all that can be read, the latest first."""
    found = []
    for path in project.snapshots.glob("*.safetensors"):
        with suppress(OSError, SafetensorError, ValueError, TypeError, KeyError):
            found.append(_read(path))
    return sorted(found, key=lambda s: (s.time, s.steps), reverse=True)


def keep_snapshot(project: Project, spare: Path | None = None) -> Snapshot | None:
    """Keep the project's model beside the earlier ones; None if that is done already.

    When there are many, every second of the older half is forgotten, but not `spare`.

    Raises
    ------
    UserError
        If there is no model, or the disk is full.
    """
    if not project.model.is_file():
        raise UserError("There is no model yet; train first, then stop.")
    target = project.snapshots / f"{_name_of(time.time_ns())}.safetensors"
    known = snapshots(project)
    try:
        now = _read(project.model)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UserError("The model is damaged; train again.") from error
    if known and (known[0].steps, known[0].score) == (now.steps, now.score):
        return None
    copy_file(project.model, target)
    if len(known) >= MOST:
        for old in known[MOST // 2 :: 2]:
            if old.path != spare:
                old.path.unlink(missing_ok=True)
    return _read(target)


def set_aside(project: Project, snapshot: Snapshot) -> Snapshot:
    """Return a copy of a snapshot that is not forgotten when others are kept.

    There is one such copy in a project at a time, and whoever made it removes it.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    target = project.model.with_name("going-back.safetensors")
    copy_file(snapshot.path, target)
    return replace(snapshot, path=target)


def return_to(project: Project, snapshot: Snapshot) -> None:
    """Make an earlier model that of the project; training goes on from it.

    The one in use is kept as a snapshot first.

    Raises
    ------
    UserError
        If it cannot be written; then nothing is changed.
    """
    with suppress(UserError):
        keep_snapshot(project, spare=snapshot.path)
    copy_file(snapshot.path, project.model)
    # The checkpoint is that of the other run.
    project.checkpoint.unlink(missing_ok=True)


def _read(path: Path) -> Snapshot:
    with safe_open(str(path), framework="np") as file:
        config = json.loads((file.metadata() or {})["napari_fcn"])
    training = config["training"]
    score = training.get("held_out_dice", training.get("held_out_score"))
    return Snapshot(
        path,
        _time_of(path),
        int(training.get("steps", 0)),
        float(score) if score is not None else None,
    )


def _name_of(nanoseconds: int) -> str:
    """Return the name of a snapshot kept at a time since 1970: date and time in UTC.

    All comes from one reading of the clock, and UTC has no hour twice in autumn, so
    that the order of the names is that of the snapshots.
    """
    seconds, fraction = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%d-%H%M%S", time.gmtime(seconds)) + f"-{fraction:09}"


def _time_of(path: Path) -> float:
    """Return when a snapshot was kept: its name says it, also after being copied."""
    with suppress(ValueError, OverflowError):
        date, fraction = path.stem.rsplit("-", 1)
        seconds = calendar.timegm(time.strptime(date, "%Y-%m-%d-%H%M%S"))
        return seconds + int(fraction) / 1e9
    return path.stat().st_mtime
