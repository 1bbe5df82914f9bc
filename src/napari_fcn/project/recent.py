"""The projects worked on lately, for the start list."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import platformdirs

from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError
from napari_fcn.project.folder import Project

_MOST = 12


class _Known(TypedDict):
    recent: list[str]
    home: str


def default_file() -> Path:
    """Return where the list is kept for this user."""
    return platformdirs.user_data_path("napari-fcn", False) / "projects.json"


class RecentProjects:
    """A list on disk; nothing depends on it, so it never raises.

    Parameters
    ----------
    file : Path
        Where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def folders(self) -> list[Path]:
        """Return the projects that still exist, the latest first."""
        return [p for p in map(Path, self._read()["recent"]) if _is_there(p)]

    def with_image(self, path: Path) -> Path | None:
        """Return the latest project that works on an image file, if there is one."""
        wanted = path.resolve()
        for folder in self.folders():
            with suppress(UserError, OSError, ValueError):
                images = Project.open(folder).record.images
                if wanted in (image.place(folder).resolve() for image in images):
                    return folder
        return None

    def note(self, folder: Path) -> None:
        """Put a project first."""
        place = str(folder.absolute())
        known = self._read()
        others = [p for p in known["recent"] if p != place]
        self._write({**known, "recent": [place, *others][:_MOST]})

    @property
    def home(self) -> Path | None:
        """Where the user wants new projects, if that was ever said."""
        home = self._read()["home"]
        return Path(home) if home else None

    @home.setter
    def home(self, folder: Path) -> None:
        self._write({**self._read(), "home": str(folder.absolute())})

    def _read(self) -> _Known:
        known: _Known = {"recent": [], "home": ""}
        with suppress(OSError, ValueError, AttributeError):
            raw = json.loads(self._file.read_text(encoding="utf-8"))
            found = raw.get("recent")
            if isinstance(found, list):
                known["recent"] = [p for p in found if isinstance(p, str)]
            if isinstance(raw.get("home"), str):
                known["home"] = raw["home"]
        return known

    def _write(self, known: _Known) -> None:
        with suppress(OSError, UserError, ValueError):
            text = json.dumps(known, indent=1)
            with atomic_path(self._file) as temporary:
                temporary.write_text(text, encoding="utf-8")


def _is_there(folder: Path) -> bool:
    try:
        return (folder / "project.json").is_file()
    except (OSError, ValueError):
        return False
