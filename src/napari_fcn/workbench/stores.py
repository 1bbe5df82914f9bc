"""The open project: its stores as the window sees them, and images being copied."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_fcn.errors import UserError
from napari_fcn.project.history import History
from napari_fcn.project.lock import ProjectLock
from napari_fcn.workbench.images import Copy, add_image
from napari_fcn.workbench.live_stores import COMPARED, LIVE
from napari_fcn.workbench.protocol import Painted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_fcn.data.axes import Axes
    from napari_fcn.data.store import ChunkStore, Region
    from napari_fcn.data.strokes import StrokeStore
    from napari_fcn.project import Project, ProjectImage

_LABELS = (LIVE, "masks", *COMPARED)
"""Stores of predicted labels; others are of probabilities, densities or images."""
_RETRY = 5.0
"""Seconds until a full disk is tried again."""


class OpenProject:
    """A project with its stores open.

    Parameters
    ----------
    project : Project
        The project.

    Raises
    ------
    UserError
        If it is open in another window, or of an older format and cannot be copied.

    Attributes
    ----------
    copies : dict
        Images that are being copied into the project, by key.
    history : History
        What training has achieved.
    older : Path, optional
        The project as it was, if it had to be brought up to date.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.copies: dict[str, Copy] = {}
        self.history = History(project.history)
        self._labels: dict[str, StrokeStore] = {}
        self._predictions: dict[tuple[str, str], ChunkStore] = {}
        self._failed_at = -_RETRY
        self._lock = ProjectLock(project.folder)
        try:
            self.older = project.bring_up_to_date()
        except UserError:
            self._lock.release()
            raise

    def add_image(
        self, data: Any, axes: Axes, name: str, path: Path | None
    ) -> ProjectImage:
        """Take an image into the project; see `napari_fcn.workbench.images`."""
        image, copy = add_image(self.project, data, axes, name, path)
        if copy is not None:
            self.copies[image.key] = copy
        return image

    def labels(self, key: str) -> StrokeStore:
        """Return the labels store of an image."""
        if key not in self._labels:
            folder = self.project.folder
            self._labels[key] = self.project.image(key).strokes(folder)
        return self._labels[key]

    def prediction(self, key: str, what: str = "live") -> ChunkStore:
        """Return a prediction store of an image."""
        name = (key, what)
        if name not in self._predictions:
            dtype = "uint8" if what in _LABELS else "float32"
            image = self.project.image(key)
            self._predictions[name] = image.prediction(self.project.folder, what, dtype)
        return self._predictions[name]

    def reload_live(self, key: str, region: Region, *, probability: bool) -> None:
        """Read a part of the live predictions anew, since the engine wrote it."""
        for found, what in self._predictions:
            live = what.startswith(LIVE) or (what == "probability" and probability)
            if found == key and live:
                self.reload(key, what, region)

    def reload(self, key: str, what: str, region: Region) -> None:
        """Read a part of a prediction anew, since the engine wrote it."""
        if (key, what) in self._predictions:
            self._predictions[key, what].reload(region)

    def forget(self, what: str) -> None:
        """Open predictions of this kind anew when asked for next."""
        for name in [n for n in self._predictions if n[1] == what]:
            del self._predictions[name]

    def painted_images(self) -> tuple[ProjectImage, ...]:
        """Return the images on which something may be painted."""
        images = self.project.record.images
        return tuple(i for i in images if self.labels(i.key).painted_chunks())

    def keep(self, key: str) -> None:
        """Make a stroke that has just ended safe; quick, unlike `flush`.

        Raises
        ------
        OSError
            Once, if the disk refuses; then nothing is tried for some seconds.
        """
        if self._disk_may_work():
            with self._noting_failure():
                self.labels(key).keep()

    def flush(self) -> Iterator[Painted]:
        """Write what was painted.

        Yields
        ------
        Painted
            What is on disk now.

        Raises
        ------
        OSError
            Once, if the disk refuses; then nothing is tried for some seconds.
        """
        if not self._disk_may_work():
            return
        for key, store in self._labels.items():
            if not store.dirty:
                continue
            with self._noting_failure():
                regions = store.flush()
            for region in regions:
                yield Painted(key, region)

    @property
    def dirty(self) -> bool:
        """Whether something is painted that is not on disk yet."""
        return any(store.dirty for store in self._labels.values())

    def try_again(self) -> None:
        """Try a disk that refused at once, in place of after some seconds."""
        self._failed_at = -_RETRY

    def _disk_may_work(self) -> bool:
        return time.monotonic() - self._failed_at >= _RETRY

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._failed_at = time.monotonic()
            raise

    def cancel_copies(self) -> None:
        """Give up what is being copied."""
        for copy in self.copies.values():
            copy.cancel()

    def close(self) -> None:
        """Give up what is being copied, and let others have the project."""
        self.cancel_copies()
        self._lock.release()
