"""The folder on disk that is the one truth about a piece of work.

``project.json`` says what is in it and is replaced as a whole; ``images/``,
``labels/`` and ``predictions/`` hold Zarr arrays, ``targets/`` dots and areas,
``models/`` the networks and ``history.jsonl`` what training has achieved.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError, model_validator

from napari_fcn.config import (
    ClassInfo,
    CountingSettings,
    Frozen,
    ImageSettings,
    NetworkConfig,
    Task,
    TrainingConfig,
    default_colour,
)
from napari_fcn.data.files import atomic_path, remove
from napari_fcn.data.fingerprint import fingerprint
from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError
from napari_fcn.project.image import AxesRecord, ProjectImage
from napari_fcn.project.migration import NEWEST, copy_project, migrate

if TYPE_CHECKING:
    from napari_fcn.data.axes import Axes

SUFFIX = ".fcnproj"
_FILE = "project.json"
_FOLDERS = ("images", "labels", "predictions", "models")
_LONGEST = 150


def default_classes() -> tuple[ClassInfo, ...]:
    """Return the two classes that a new project starts with."""
    return (
        ClassInfo(
            value=1, name="background", colour=default_colour(1), background=True
        ),
        ClassInfo(value=2, name="object", colour=default_colour(2)),
    )


class ProjectRecord(Frozen):
    """What ``project.json`` says.

    Attributes
    ----------
    format : int
        Version of this format.
    classes : tuple of ClassInfo
        What is painted.
    images : tuple of ProjectImage
        In the order they were added.
    network : NetworkConfig
        What is trained.
    training : TrainingConfig
        How it is trained.
    task : str
        What is learned now; strokes, dots and targets of the others stay.
    counting, image_to_image
        What is set for these tasks only.
    """

    format: Literal[2] = NEWEST
    classes: tuple[ClassInfo, ...] = default_classes()
    images: tuple[ProjectImage, ...] = ()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    task: Task = "segmentation"
    counting: CountingSettings = CountingSettings()
    image_to_image: ImageSettings = ImageSettings()

    @model_validator(mode="after")
    def _each_once(self) -> ProjectRecord:
        """Two images of one key would share their labels."""
        for found in ([i.key for i in self.images], [c.value for c in self.classes]):
            if len(set(found)) < len(found):
                raise ValueError("two images or classes have the same name or number")
        return self


class Project:
    """A project folder.

    Parameters
    ----------
    folder : Path
        Where it lies; made by `create`, found by `open`.
    record : ProjectRecord
        What is in it.
    version : int, optional
        Of the format that ``project.json`` has now.
    """

    def __init__(
        self, folder: Path, record: ProjectRecord, version: int = NEWEST
    ) -> None:
        self.folder = folder
        self.record = record
        self._version = version

    @classmethod
    def create(cls, folder: Path) -> Project:
        """Make a new project; a number is added where the name is taken.

        Raises
        ------
        UserError
            If the folder cannot be made.
        """
        folder = _free_name(folder.parent, folder_name(folder.name))
        project = cls(folder, ProjectRecord())
        try:
            for name in _FOLDERS:
                (folder / name).mkdir(parents=True)
            project.save()
        except OSError as error:
            remove(folder)
            raise UserError(
                f"The project cannot be made at {folder} ({error.strerror}); choose "
                "a folder you may write to."
            ) from error
        except UserError:
            remove(folder)
            raise
        return project

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open a project.

        Raises
        ------
        UserError
            If there is none, or it is damaged or from a newer version.
        """
        file = folder / _FILE
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            found = raw.get("format") if isinstance(raw, dict) else None
            if isinstance(found, int) and found > NEWEST:
                raise UserError(
                    f"{folder.name} was made by a newer napari-fcn; update napari-fcn."
                )
            record = ProjectRecord.model_validate(
                migrate(raw) if isinstance(found, int) else raw
            )
            return cls(folder, record, found if isinstance(found, int) else NEWEST)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(
                f"There is no project at {folder}; choose a folder that ends in "
                f"{SUFFIX}."
            ) from error
        except OSError as error:
            raise UserError(
                f"{file} cannot be read ({error.strerror}); see to it that you may "
                "read it."
            ) from error
        except (ValueError, ValidationError, RecursionError) as error:
            raise UserError(
                f"{file} is damaged; restore it from a copy. The labels beside it are "
                "not touched."
            ) from error

    def bring_up_to_date(self) -> Path | None:
        """Write a project of an older format in the newest one, after copying it.

        Returns
        -------
        Path, optional
            The copy, which an older napari-fcn can open; None if there was no need, or
            nothing may be written and so nothing will be.

        Raises
        ------
        UserError
            If it cannot be copied; then nothing is changed.
        """
        if self._version >= NEWEST or not os.access(self.folder, os.W_OK):
            return None
        stem = f"{self.folder.stem}-format-{self._version}"
        copied = _free_name(self.folder.parent, stem)
        copy_project(self.folder, copied)
        self.save()
        return copied

    def save(self) -> None:
        """Write ``project.json``, atomically; raises `UserError` if it cannot."""
        with atomic_path(self.folder / _FILE) as temporary:
            temporary.write_text(
                self.record.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
        self._version = NEWEST

    def update(self, **changes: Any) -> None:
        """Change parts of the record, once that is on disk.

        Raises
        ------
        UserError
            If it cannot be written; then nothing is changed.
        """
        before = self.record
        self.record = ProjectRecord(**{**dict(before), **changes})
        try:
            self.save()
        except UserError:
            self.record = before
            raise

    def add_image(
        self,
        name: str,
        path: Path,
        kind: Literal["file", "zarr"],
        axes: Axes,
        shape: tuple[int, ...],
        mark: str = "",
    ) -> ProjectImage:
        """Take an image into the project, with empty labels.

        Parameters
        ----------
        name : str
            What the user calls it.
        path : Path
            Where it lies.
        kind : str
            As for `ProjectImage`.
        axes : Axes
            Of its pixels.
        shape : tuple of int
            Of its pixels.
        mark : str, optional
            The fingerprint of its pixels, if it lies outside of the project.

        Raises
        ------
        UserError
            If it cannot be written; then nothing is left behind.
        """
        image = self.describe(self.free_key(name), name, path, kind, axes, shape, mark)
        store = self.folder / "labels" / f"{image.key}.zarr"
        try:
            remove(store.with_suffix(".strokes"))  # of an image that is no more
            remove(self.folder / "targets" / f"{image.key}.json")
            ChunkStore.create(store, image.label_shape, "uint8")
            self.update(images=(*self.record.images, image))
        except UserError:
            remove(store)
            raise
        return image

    def describe(
        self,
        key: str,
        name: str,
        path: Path,
        kind: Literal["file", "zarr"],
        axes: Axes,
        shape: tuple[int, ...],
        mark: str = "",
    ) -> ProjectImage:
        """Return what opens an image again; see `add_image` for the parameters."""
        return ProjectImage(
            key=key,
            name=name.encode(errors="replace").decode(),
            path=self._relative(path),
            near=self._near(path),
            fingerprint=mark,
            kind=kind,
            axes=AxesRecord.of(axes),
            shape=shape,
        )

    def relink(self, key: str, path: Path) -> ProjectImage:
        """Say where an image lies now; its labels stay.

        Raises
        ------
        UserError
            If there is no image of the same shape, or nothing can be written.
        """
        image = self.image(key)
        moved = image.model_copy(
            update={
                "path": self._relative(path),
                "near": self._near(path),
                "fingerprint": "",
            }
        )
        noted = moved.model_copy(
            update={"fingerprint": fingerprint(moved.pixels(self.folder))}
        )
        self.replace_image(noted)
        return noted

    def _near(self, path: Path) -> str:
        """Return the way from the project to an image outside, if there is one."""
        place, folder = os.path.abspath(path), os.path.abspath(self.folder)
        if Path(place).is_relative_to(folder):
            return ""
        with suppress(ValueError):  # another disk of Windows
            return Path(os.path.relpath(place, folder)).as_posix()
        return ""

    def replace_image(self, image: ProjectImage) -> None:
        """Change what the project knows of an image."""
        images = tuple(image if i.key == image.key else i for i in self.record.images)
        self.update(images=images)

    def image(self, key: str) -> ProjectImage:
        """Return the image of a key; raises KeyError."""
        return {i.key: i for i in self.record.images}[key]

    def free_key(self, name: str) -> str:
        """Return a new key made from a name."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "image"
        taken = {i.key for i in self.record.images}
        number = 1
        key = stem
        while key in taken or (self.folder / "labels" / f"{key}.zarr").exists():
            number += 1
            key = f"{stem}-{number}"
        return key

    @property
    def history(self) -> Path:
        """What training has achieved; read and written by `History`."""
        return self.folder / "history.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The training run of the task that can be gone on with."""
        return self.folder / "models" / f"{self._of_task}checkpoint.safetensors"

    @property
    def model(self) -> Path:
        """The best model of the latest run."""
        return self.folder / "models" / f"{self._of_task}model.safetensors"

    @property
    def snapshots(self) -> Path:
        """Where models are kept as they were."""
        return self.folder / "models" / f"{self._of_task}snapshots"

    @property
    def _of_task(self) -> str:
        """Each task has a run of its own; that of segmentation has no prefix."""
        task = self.record.task
        return "" if task == "segmentation" else f"{task}-"

    def _relative(self, path: Path) -> str:
        """Return a path that stays right when the project moves."""
        place, folder = os.path.abspath(path), os.path.abspath(self.folder)
        if not _is_text(place):
            raise UserError(
                f"The name of {path.name!a} is not Unicode; rename the file."
            )
        if not Path(place).is_relative_to(folder):
            return place
        return Path(place).relative_to(folder).as_posix()


def _is_text(name: str) -> bool:
    """Tell whether a file name is Unicode; on Linux it may be any bytes."""
    return name == name.encode(errors="replace").decode()


def folder_name(name: str) -> str:
    """Make a name that every system takes out of whatever an image is called.

    Parameters
    ----------
    name : str
        Anything, such as ``"../a: b"``.

    Returns
    -------
    str
        One part of a path, without suffix; never empty.
    """
    text = unicodedata.normalize("NFC", name.removesuffix(SUFFIX))
    text = "".join("-" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in text)
    # Most file systems count bytes, and take 255 of them.
    text = text.encode()[:_LONGEST].decode(errors="ignore")
    return text.strip(" .-") or "project"


def _free_name(parent: Path, stem: str) -> Path:
    number, free = 1, parent / f"{stem}{SUFFIX}"
    while os.path.lexists(free):
        number += 1
        free = parent / f"{stem}-{number}{SUFFIX}"
    return free
