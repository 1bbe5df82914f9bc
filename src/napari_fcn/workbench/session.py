"""The workbench of one viewer: its project, its engine, and what happens to them.

It knows no window. The window calls `Workbench.poll` many times a second, in its own
thread; every signal is emitted there.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError
from napari_fcn.project.snapshots import Snapshot, return_to
from napari_fcn.workbench import protocol
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.project_client import ProjectClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fcn.engine.events import Finished
    from napari_fcn.project import Project, ProjectImage


class Workbench(ProjectClient):
    """What one viewer works with: trains, predicts and exports what its project holds.

    Parameters
    ----------
    home : Path, optional
        Where new projects are made; ``~/napari-fcn`` by default.
    start_process : callable, optional
        Starts an engine.
    """

    def __init__(
        self,
        home: Path | None = None,
        start_process: Callable[[], EngineProcess] = EngineProcess,
    ) -> None:
        super().__init__(home, start_process)
        self._train_later: tuple[Path | None, bool] | None = None
        self._return_later: Snapshot | None = None

    def poll(self, *, flush: bool = True) -> None:
        """Take what the engine has told and emit it.

        Parameters
        ----------
        flush : bool
            Whether to write strokes that wait; not while one is drawn.
        """
        super().poll()
        self._watch_copies()
        if flush:
            self.flush()

    def train(self, init: Path | None = None, *, anew: bool = False) -> None:
        """Start training on all that is painted, or go on with the last run.

        Parameters
        ----------
        init : Path, optional
            A model to start from.
        anew : bool
            Start from nothing, or from `init`, in place of the last run.

        Raises
        ------
        UserError
            If there is nothing to learn from.
        """
        if self.status.state in ("training", "stopping"):
            return
        if self.status.state == "paused":
            self._send(protocol.Resume())
            return
        opened = self._opened()
        images = opened.painted_images()
        if not images:
            raise UserError("Nothing is painted yet; paint a stroke of each class.")
        if any(i.key in opened.copies for i in images):
            self._train_later = (init, anew)
            self.said.emit("Training starts as soon as the image is copied.")
            return
        self._begin(opened.project, images, init, anew=anew)

    def _begin(
        self,
        project: Project,
        images: tuple[ProjectImage, ...],
        init: Path | None,
        *,
        anew: bool,
    ) -> None:
        self.flush()
        self.start_engine()
        # After going back to an earlier model there is no run to go on with.
        if not anew and init is None and not project.checkpoint.is_file():
            init = project.model if project.model.is_file() else None
        self._send(
            protocol.Train(
                project=project.folder,
                images=images,
                classes=project.record.classes,
                network=project.record.network,
                training=project.record.training,
                checkpoint=project.checkpoint,
                model=project.model,
                resume=not anew and init is None,
                init=init,
            )
        )
        self._last_step = (0.0, 0)
        self._set(state="training", score=None, speed=0.0)

    def stop(self) -> None:
        """End the run, or one that waits; its best weights are kept."""
        self._train_later = None
        super().stop()

    def look(
        self,
        image: ProjectImage,
        sample: tuple[int, ...],
        region: tuple[slice, ...],
        probability: int | None = None,
    ) -> None:
        """Have the prediction of this part kept fresh from now on."""
        opened = self._opened()
        project = opened.project
        ndim = project.record.network.ndim
        look = protocol.Look(project.folder, image, ndim, sample, region, probability)
        if look != self._look and image.key not in opened.copies:
            self._look = look
            self._send(look)

    def save_model(self, target: Path) -> None:
        """Copy the best model so far to a place of the user's choice.

        Raises
        ------
        UserError
            If there is none, or it cannot be written.
        """
        source = self._opened().project.model
        if not source.is_file():
            raise UserError("There is no model yet; train first, then stop.")
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)

    def suggest(self) -> None:
        """Ask the engine where to paint next; it answers with `suggested`.

        Raises
        ------
        UserError
            If there is nothing to look at.
        """
        opened = self._opened()
        images = tuple(
            i
            for i in opened.project.record.images
            if i.key not in opened.copies and i.place(opened.project.folder).exists()
        )
        if not images:
            raise UserError("Open an image first.")
        self.flush()
        self.start_engine()
        before = tuple(self._suggestions[-50:])
        folder, seed = opened.project.folder, len(self._suggestions)
        self._send(protocol.Suggest(folder, images, before, seed))

    def return_to(self, snapshot: Snapshot) -> None:
        """Go back to an earlier model; *Train* then goes on from it.

        What is trained just now is ended first, and kept as a snapshot.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        project = self._opened().project
        if self.status.state not in ("ready", "dead"):
            self.stop()
            self._return_later = snapshot
            return
        return_to(project, snapshot)
        self.start_engine()
        self._send(protocol.UseModel(project.model))

    def compare(self, first: Path | None, second: Path | None) -> None:
        """Have two models predict what is on the screen; answered by `compared`.

        Parameters
        ----------
        first, second : Path or None
            Model files; None for the network as it is now.

        Raises
        ------
        UserError
            If no image is on the screen.
        """
        if self._look is None:
            raise UserError("Choose an image first, and press Start labelling.")
        self.start_engine()
        self._send(protocol.Compare(self._look, (first, second)))

    def _on_finished(self, event: Finished) -> None:
        super()._on_finished(event)
        self._return_now()

    def _on_death(self, event: protocol.EngineDied) -> None:
        super()._on_death(event)
        self._return_now()

    def _return_now(self) -> None:
        """Go back to the snapshot that was asked for while something was trained."""
        snapshot, self._return_later = self._return_later, None
        if snapshot is None:
            return
        try:
            self.return_to(snapshot)
        except UserError as error:
            self.said.emit(str(error))

    def apply(self, image: ProjectImage, model: Path | None = None) -> None:
        """Predict a whole image into its store ``masks``.

        Parameters
        ----------
        image : ProjectImage
            Of the project.
        model : Path, optional
            The best of the current run, or of the last one, by default.

        Raises
        ------
        UserError
            If something else is under way.
        """
        project = self._opened().project
        self._require_no_job()
        if self._engine is None and model is None and project.model.is_file():
            model = project.model
        self.start_engine()
        out = image.prediction_path(project.folder, "masks")
        self._send(protocol.Apply(project.folder, image, out, model))
        self._set(job="apply", share=0.0)

    def export(self, image: ProjectImage, target: Path) -> None:
        """Write the masks of a whole image to a file that others can read.

        Raises
        ------
        UserError
            If there are none, or something else is under way.
        """
        project = self._opened().project
        self._require_no_job()
        source = image.prediction_path(project.folder, "masks")
        if not source.is_dir():
            raise UserError("There are no masks yet; predict the whole image first.")
        self.start_engine()
        self._send(protocol.Export(source, image.label_axes, target))
        self._set(job="export", share=0.0)

    def cancel_job(self) -> None:
        """Give up applying, exporting or copying."""
        self._send(protocol.CancelJob())
        if self._open is not None:
            self._open.cancel_copies()

    def _require_no_job(self) -> None:
        if self.status.job:
            raise UserError("Something is under way; wait for it or cancel it first.")

    def _watch_copies(self) -> None:
        copies = self._open.copies if self._open is not None else {}
        for key, copy in list(copies.items()):
            if not copy.finished:
                self._set(job="copy", share=copy.share)
                continue
            del copies[key]
            self._set(job="", share=0.0)
            if copy.error:
                self._train_later = None
                self.said.emit(copy.error)
        if self._train_later is not None and not copies:
            (init, anew), self._train_later = self._train_later, None
            try:
                self.train(init, anew=anew)
            except UserError as error:
                self.said.emit(str(error))
