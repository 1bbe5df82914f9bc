"""One window per project: a file that says who works on it."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "in-use.json"


class ProjectLock:
    """Keeps others out of a project until it is released.

    A program that was killed leaves its lock behind; that its process has ended is
    noticed, so nobody has to remove anything. Where the folder cannot be written there
    is no lock, and no need for one.

    Parameters
    ----------
    folder : Path
        The project's folder.

    Raises
    ------
    UserError
        If somebody works on it already.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._mine = False
        self._refuse_if_taken()
        facts = {
            "process": os.getpid(),
            "started": psutil.Process().create_time(),
            "computer": socket.gethostname(),
        }
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            with self._path.open("x", encoding="utf-8") as file:
                self._mine = True
                json.dump(facts, file)

    def release(self) -> None:
        """Let others in."""
        if self._mine:
            self._mine = False
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _refuse_if_taken(self) -> None:
        try:
            facts = json.loads(self._path.read_text(encoding="utf-8"))
            process, started = int(facts["process"]), float(facts["started"])
            computer = str(facts["computer"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # there is none, or its writer died
        name = self._path.parent.name
        if computer != socket.gethostname():
            raise UserError(
                f"{name} is in use on the computer {computer}; close it there first. "
                f"If it is not, delete {self._path}."
            )
        if _runs(process, started):
            where = "in another window" if process == os.getpid() else "in another"
            where += "" if process == os.getpid() else f" program (process {process})"
            raise UserError(f"{name} is open {where}; close it there first.")


def _runs(process: int, started: float) -> bool:
    """Tell whether this very process runs; numbers are used again."""
    try:
        found = psutil.Process(process)
        ended = found.status() == psutil.STATUS_ZOMBIE
        return not ended and abs(found.create_time() - started) < 1
    except (psutil.Error, ValueError, OverflowError):
        return False
