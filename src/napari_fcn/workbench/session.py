"""The workbench of one viewer: its project, its engine, and what happens to them.

It knows no window. The window calls `Workbench.poll` many times a second, in its own
thread; every signal is emitted there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zarr

from napari_fcn.config import training_for
from napari_fcn.data.areas import box_of
from napari_fcn.data.files import copy_file, remove
from napari_fcn.errors import UserError
from napari_fcn.project.snapshots import Snapshot, return_to, set_aside
from napari_fcn.workbench import protocol
from napari_fcn.workbench.items import has_something
from napari_fcn.workbench.outputs import check_file, check_result
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.target_client import TargetClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fcn.engine.events import Finished
    from napari_fcn.project import Project, ProjectImage

    Boxes = tuple[tuple[tuple[int, ...], tuple[slice, ...]], ...]


class Workbench(TargetClient):
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
            If there is nothing to learn from, or targets of images do not match.
        """
        if self.status.state in ("training", "stopping"):
            return
        if self.status.state == "paused":
            self._send(protocol.Resume())
            return
        opened = self._opened()
        images = self._annotated_images()
        if self.learns_targets:
            self.order_targets(images)
        keys = {i.key for i in images}
        if any(name.split()[0] in keys for name in opened.copies):
            self._train_later = (init, anew)
            self.said.emit("Training starts as soon as the image is copied.")
            return
        self._begin(opened.project, images, init, anew=anew)

    def _annotated_images(self) -> tuple[ProjectImage, ...]:
        """Return the images with something that the task learns from."""
        opened = self._opened()
        if self.task in ("segmentation", "instances"):
            images = opened.painted_images()
            missing = "Nothing is painted yet; paint a stroke of each class."
        else:
            blind = self.task == "regression" and not self.learns_targets
            images = tuple(
                image
                for image in opened.project.record.images
                if has_something(self.targets(image.key), self.task, blind=blind)
            )
            missing = (
                "There is no dot yet; put one on each object of an area."
                if self.task == "density"
                else "There is no target yet; choose the layer to be predicted, or "
                "let noise be removed without one."
            )
        if not images:
            raise UserError(missing)
        return images

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
        record = project.record
        classes = record.classes
        if self.task == "density":
            classes = tuple(c for c in classes if not c.background)
        training = training_for(
            record.task,
            record.training,
            record.counting,
            record.image_to_image,
            classes,
            self.targets(images[0].key).outputs,
        )
        resume = not anew and init is None
        self._note_run(resume=resume)
        self._send(
            protocol.Train(
                project=project.folder,
                task=record.task,
                images=images,
                classes=classes,
                network=record.network,
                training=training,
                checkpoint=project.checkpoint,
                model=project.model,
                resume=resume,
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
        look = protocol.Look(
            project.folder,
            image,
            ndim,
            sample,
            region,
            probability,
            self.task,
            self._boxes(image, ndim),
            whole=self.task == "density",
            outputs=self.targets(image.key).outputs if self.learns_targets else (),
        )
        if look != self._look and image.key not in opened.copies:
            self._look = look
            self._send(look)

    def _boxes(self, image: ProjectImage, ndim: int) -> Boxes:
        """Return where counts are wanted, too, if objects are counted."""
        if self.task != "density":
            return ()
        axes, shape = image.label_axes, image.label_shape
        boxes = self.targets(image.key).boxes
        found = (box_of(b.corners, axes, shape, ndim) for b in boxes)
        return tuple(f for f in found if f is not None)

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
        copy_file(source, target)

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
            self._return_later = set_aside(project, snapshot)
            self.stop()
            return
        return_to(project, snapshot)
        self._set(step=0, seconds=0.0, score=snapshot.score, speed=0.0)
        self._use_model()
        self.start_engine()  # one that starts now uses it, too

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
        if (snapshot := self._return_later) is None:
            return
        try:
            self.return_to(snapshot)
        except UserError as error:
            self.said.emit(str(error))
        self._forget_return()

    def _forget_return(self) -> None:
        """No longer go back to an earlier model once the run has ended."""
        if self._return_later is not None:
            remove(self._return_later.path)
            self._return_later = None

    def _leave_project(self) -> None:
        self._forget_return()
        super()._leave_project()

    def apply(self, image: ProjectImage, model: Path | None = None) -> None:
        """Predict a whole image into its store for the task.

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
        self.start_engine()
        out = self.whole(image)
        self._send(protocol.Apply(project.folder, image, out, model, self.task))
        self._set(job="apply", share=0.0)

    def export(self, image: ProjectImage, target: Path) -> None:
        """Write what was predicted of a whole image to a file that others can read.

        A density goes into a table of counts if the file ends in ``.csv``.

        Raises
        ------
        UserError
            If there are none, something else is under way, or the file would take the
            place of an image or of anything else that is needed.
        """
        self._require_no_job()
        source = self.whole(image)
        if not source.is_dir():
            raise UserError("Nothing is predicted yet; predict the whole image first.")
        self._check_target(target, source)
        if target.suffix.lower() == ".csv":
            self._save_counts(source, target)
            return
        self.start_engine()
        several = zarr.open_array(str(source), mode="r").ndim > len(image.label_shape)
        axes = image.label_axes.with_channels() if several else image.label_axes
        self._send(protocol.Export(source, axes, target))
        self._set(job="export", share=0.0)

    def _check_target(self, target: Path, source: Path) -> None:
        """Refuse what would replace images, the project or another folder."""
        project = self._opened().project
        images = (image.place(project.folder) for image in project.record.images)
        needed = [project.folder, *images]
        if target.suffix.lower() == ".csv":
            check_file(target, needed)
            return
        array = zarr.open_array(str(source), mode="r")
        whole = array.dtype.kind in "biu"
        check_result(target, array.ndim, needed, whole_numbers=whole)

    def whole(self, image: ProjectImage) -> Path:
        """Return where the prediction of a whole image lies, for the task."""
        what = "masks" if self.task == "segmentation" else f"whole-{self.task}"
        return image.prediction_path(self._opened().project.folder, what)

    def _save_counts(self, source: Path, target: Path) -> None:
        table = source.with_suffix(".csv")
        if not table.is_file():
            raise UserError("Only counts go into a table; save an image instead.")
        copy_file(table, target)
        self.job_finished.emit(protocol.JobFinished("export", "done", target))

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
