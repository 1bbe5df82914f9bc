"""An image of a project: what opens it again, and where its labels are."""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr
from pydantic import Field, model_validator
from zarr.errors import BaseZarrError

from napari_fcn.config import Frozen
from napari_fcn.data.axes import Axes, validate_axes
from napari_fcn.data.files import remove
from napari_fcn.data.fingerprint import fingerprint
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import ImageSource
from napari_fcn.data.store import ChunkStore
from napari_fcn.data.strokes import StrokeStore
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_fcn.data.store import Region

_LARGEST_CHUNK = 1 << 28
"""Bytes. Stores of this program have 1 MiB; reading a pixel reads a whole chunk."""


class AxesRecord(Frozen):
    """The axes of an image as they are written to JSON."""

    names: str
    scale: tuple[float, ...]
    units: tuple[str, ...]
    translate: tuple[float, ...]

    @classmethod
    def of(cls, axes: Axes) -> AxesRecord:
        """Return the record of some axes."""
        return cls(
            names=axes.names,
            scale=axes.scale,
            units=axes.units,
            translate=axes.translate,
        )

    def axes(self) -> Axes:
        """Return the axes; raises `UserError` if they make no sense."""
        return Axes(self.names, self.scale, self.units, self.translate)


class ProjectImage(Frozen):
    """An image of a project.

    Attributes
    ----------
    key : str
        Names its folders in the project.
    name : str
        What the user calls it.
    path : str
        The image file, or the Zarr array that holds its pixels. Relative paths are
        inside the project.
    kind : str
        ``file`` for anything that `open_image` opens, ``zarr`` for a plain array.
    axes : AxesRecord
        Of its pixels.
    shape : tuple of int
        To notice when another image lies there.
    dense : bool
        Whether 0 in its labels is background.
    near : str
        The way to the file from the project's folder, for when both have moved.
    fingerprint : str
        To notice when another image lies there; empty if unknown.
    testing : tuple
        Boxes of its labels that no network may learn from, as pairs of start and stop
        for each axis.
    """

    key: str = Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")
    name: str
    path: str
    kind: Literal["file", "zarr"]
    axes: AxesRecord
    shape: tuple[int, ...]
    dense: bool = False
    near: str = ""
    fingerprint: str = ""
    testing: tuple[tuple[tuple[int, int], ...], ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> ProjectImage:
        """Refuse what would fail later, and paths that lead out of the project."""
        try:
            validate_axes(self.axes.axes().names, self.shape)
        except UserError as error:
            raise ValueError(str(error)) from error
        if min(self.shape) < 1:
            raise ValueError(f"{self.shape} is not the shape of an image")
        parts = re.split(r"[/\\]", self.path)
        outside = ".." in parts and not Path(self.path).is_absolute()
        if outside or "\0" in self.path:
            raise ValueError(f"{self.path!r} leads out of the project")
        for box in self.testing:
            bounds = zip(box, self.label_shape, strict=True)
            if not all(0 <= a < b <= n for (a, b), n in bounds):
                raise ValueError(f"{box} is no box of the labels")
        return self

    def pixels(self, project: Path) -> Any:
        """Open its pixels lazily.

        Raises
        ------
        UserError
            If they are missing, damaged, or of another shape than they were.
        """
        path = self.place(project)
        if self.kind == "file":
            data = open_image(path, self.axes.names).data
        else:
            data = _open_zarr(path)
        if tuple(data.shape) != self.shape:
            raise UserError(
                f"The image {self.name} at {path} now has shape {tuple(data.shape)} in "
                f"place of {self.shape}; put the right image back there."
            )
        if self.fingerprint and fingerprint(data) != self.fingerprint:
            raise UserError(
                f"The image {self.name} at {path} is not the one that was painted on; "
                "put the right image back there, or choose it in the dock Project."
            )
        return data

    def place(self, project: Path) -> Path:
        """Return where it lies, also if it has moved together with the project."""
        first = project / self.path
        moved = [project / self.near, project.parent / first.name] if self.near else []
        found = next((p for p in (first, *moved) if _exists(p)), first)
        return Path(os.path.abspath(found))

    def source(self, project: Path, ndim: int) -> ImageSource:
        """Open it for a 2D or 3D network."""
        return ImageSource(self.pixels(project), self.axes.axes(), ndim, self.name)

    def origin(self, project: Path) -> Hashable:
        """Return what is equal as long as the same pixels are read, in the same way.

        Keys come from names, so that images of two projects may have the same; and the
        image of a key may come to lie elsewhere, or have other axes. So it is the
        project's folder and all of the image, except what changes while the pixels
        stay: its name, how large a pixel is and where it lies in space, and what its
        labels are for.
        """
        names = AxesRecord.of(Axes.of(self.axes.names))
        alike = {"name": "", "axes": names, "dense": False, "testing": ()}
        return project, self.model_copy(update=alike)

    @property
    def label_axes(self) -> Axes:
        """Axes of its labels: its own without channels."""
        axes = self.axes.axes()
        return axes if axes.channel is None else axes.drop(axes.channel)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of its labels: its own without channels."""
        channel = self.axes.axes().channel
        return tuple(n for i, n in enumerate(self.shape) if i != channel)

    @property
    def testing_regions(self) -> tuple[Region, ...]:
        """Parts of its labels that no network may learn from."""
        return tuple(tuple(slice(a, b) for a, b in box) for box in self.testing)

    def labels(self, project: Path, *, writable: bool = True) -> ChunkStore:
        """Open its labels.

        Raises
        ------
        UserError
            If they are missing, damaged, not of this image, or elsewhere.
        """
        path = project / "labels" / f"{self.key}.zarr"
        _require_inside(path, project)
        store = ChunkStore.open(path, writable=writable)
        if not self._fits(store) or store.dtype.kind not in "ui":
            raise UserError(
                f"The labels at {path} have shape {store.shape} and type "
                f"{store.dtype}, which do not belong to {self.name}; restore them from "
                "a copy."
            )
        return store

    def strokes(self, project: Path) -> StrokeStore:
        """Open its labels for painting stroke by stroke; one program may at a time.

        Raises
        ------
        UserError
            If they are missing, damaged, not of this image, or elsewhere.
        """
        journal = project / "labels" / f"{self.key}.strokes"
        _require_inside(journal, project)
        return StrokeStore(self.labels(project).array, journal)

    def prediction_path(self, project: Path, what: str = "live") -> Path:
        """Return where a prediction of it lies.

        Parameters
        ----------
        project : Path
            The project's folder.
        what : str
            ``live`` for what is on screen, ``probability`` for that of a class,
            ``masks`` for the whole image.
        """
        return project / "predictions" / f"{self.key}-{what}.zarr"

    def prediction(
        self, project: Path, what: str = "live", dtype: Any = "uint8"
    ) -> ChunkStore:
        """Open a prediction, and make an empty one where there is none that fits.

        Raises
        ------
        UserError
            If it cannot be made, or lies elsewhere.
        """
        path = self.prediction_path(project, what)
        _require_inside(path, project)
        with suppress(UserError):  # what is damaged is predicted again
            store = ChunkStore.open(path)
            if self._fits(store) and store.dtype.kind == np.dtype(dtype).kind:
                return store
        remove(path)
        return ChunkStore.create(path, self.label_shape, dtype)

    def _fits(self, store: ChunkStore) -> bool:
        largest = math.prod(store.chunks) * store.dtype.itemsize
        return store.shape == self.label_shape and largest <= _LARGEST_CHUNK


def _require_inside(path: Path, project: Path) -> None:
    """Write through no link that leads out of the project, whoever made it."""
    if not path.resolve().is_relative_to(project.resolve()):
        raise UserError(
            f"{path} is a link that leads out of the project; put what it leads to in "
            "its place."
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no permission, or no name
        return False


def _open_zarr(path: Path) -> Any:
    try:
        return zarr.open_array(str(path), mode="r")
    except (OSError, ValueError, KeyError, BaseZarrError) as error:
        raise UserError(
            f"The image at {path} cannot be read ({error}); put it back there."
        ) from error
