"""The workbench of one viewer: its project, its engine, and what happens to them.

It knows no window. The window calls `Workbench.poll` many times a second, in its own
thread; every signal is emitted there.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from psygnal import Signal

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.data.files import atomic_path, remove
from napari_fcn.engine.events import Finished, Message, Scored, Started, Stepped
from napari_fcn.errors import UserError
from napari_fcn.project import Project, ProjectImage
from napari_fcn.project.recent import RecentProjects, default_file
from napari_fcn.project.snapshots import Snapshot, return_to
from napari_fcn.workbench import protocol
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.questions import Answer, Question
from napari_fcn.workbench.status import Status
from napari_fcn.workbench.stores import OpenProject

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.axes import Axes
    from napari_fcn.data.store import ChunkStore, Region
    from napari_fcn.data.strokes import StrokeStore

    Boxes = tuple[tuple[tuple[int, int], ...], ...]

_SMOOTH = 0.8
"""Weight of the past in the speed that is shown."""


class Workbench:
    """What one viewer works with.

    Parameters
    ----------
    home : Path, optional
        Where new projects are made; ``~/napari-fcn`` by default.
    start_process : callable, optional
        Starts an engine.

    Attributes
    ----------
    status : Status
        What it is doing now.
    """

    status_changed = Signal(Status)
    stepped = Signal(float, float)
    scored = Signal(Scored)
    shown = Signal(protocol.Shown)
    said = Signal(str)
    finished = Signal(Finished)
    job_finished = Signal(protocol.JobFinished)
    project_changed = Signal(Project)
    settings_changed = Signal(NetworkConfig, TrainingConfig)
    answered = Signal(object)
    suggested = Signal(protocol.Suggested)

    def __init__(
        self,
        home: Path | None = None,
        start_process: Callable[[], EngineProcess] = EngineProcess,
    ) -> None:
        self.recent = RecentProjects(home / "recent.json" if home else default_file())
        self.home = home or self.recent.home or Path.home() / "napari-fcn"
        self.status = Status()
        self._start_process = start_process
        self._engine: EngineProcess | None = None
        self._open: OpenProject | None = None
        self._look: protocol.Look | None = None
        self._train_later: tuple[Path | None, bool] | None = None
        self._last_step = (0.0, 0)
        self._suggestions: list[tuple[str, Region]] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            protocol.Ready: lambda e: self._set(warm=True, device=e.device),
            Started: lambda e: self._set(device=e.device),
            Stepped: self._on_step,
            Scored: self._on_scored,
            Message: lambda e: self.said.emit(e.text),
            protocol.Paused: lambda _: self._set(state="paused", speed=0.0),
            protocol.Resumed: self._on_resumed,
            protocol.Shown: self._on_shown,
            protocol.JobProgress: lambda e: self._set(job=e.job, share=e.share),
            protocol.JobFinished: self._on_job_finished,
            protocol.Suggested: self._on_suggested,
            Finished: self._on_finished,
            protocol.EngineDied: self._on_death,
            **dict.fromkeys(get_args(Answer), self.answered.emit),
        }

    def start_engine(self) -> None:
        """Start the engine's process, so that it is warm when needed."""
        if self._engine is not None:
            return
        self._engine = self._start_process()
        if self._look is not None:
            self._engine.send(self._look)
        self._set(state="ready", warm=False, device="")

    @property
    def engine_pid(self) -> int | None:
        """Number of the engine's process, if it runs."""
        return self._engine.pid if self._engine is not None else None

    def close(self) -> None:
        """Write what was painted and end the engine."""
        self.flush()
        if self._open is not None:
            self._open.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def poll(self, *, flush: bool = True) -> None:
        """Take what the engine has told and emit it.

        Parameters
        ----------
        flush : bool
            Whether to write strokes that wait; not while one is drawn.
        """
        if self._engine is not None:
            for event in self._engine.events():
                self._handlers[type(event)](event)
        self._watch_copies()
        if flush:
            self.flush()

    # Project and images

    @property
    def project(self) -> Project | None:
        """The project, once there is one."""
        return self._open.project if self._open is not None else None

    def create_project(self, name: str) -> Project:
        """Make a project in the home folder, or in a temporary one if it must be."""
        try:
            project = Project.create(self.home / name)
        except UserError as error:
            place = Path(tempfile.mkdtemp(prefix="napari-fcn-"))
            project = Project.create(place / name)
            self.said.emit(f"{error} For now it is kept in {place}.")
        self._use_project(project)
        return project

    def open_project(self, folder: Path) -> Project:
        """Open a project; raises `UserError` if it cannot be."""
        project = Project.open(folder)
        self._use_project(project)
        if project.model.is_file():
            self._send(protocol.UseModel(project.model))
        return project

    def choose_home(self, folder: Path) -> None:
        """Make new projects in this folder from now on."""
        self.home = folder
        self.recent.home = folder

    def move_project(self, parent: Path) -> Project:
        """Move the project, with all that is in it, into another folder.

        Raises
        ------
        UserError
            If it cannot be moved; then it stays where it is.
        """
        if self.status.state not in ("ready", "dead") or self.status.job:
            raise UserError("Stop the training that runs first.")
        before = self._opened().project.folder
        target = parent / before.name
        if target.exists():
            raise UserError(f"There is a {target.name} in {parent}; choose elsewhere.")
        self.flush()
        if any(self.labels(i.key).dirty for i in self._opened().project.record.images):
            raise UserError("Not all strokes are on disk yet; make room there first.")
        self.look_away()
        self._leave_project()
        try:
            shutil.copytree(before, target)
        except (OSError, shutil.Error) as error:
            remove(target)
            self.open_project(before)
            raise UserError(
                f"The project cannot be moved to {parent} ({error}); it stays where it "
                "was."
            ) from error
        project = self.open_project(target)
        remove(before)
        return project

    def add_image(
        self, data: Any, axes: Axes, name: str, path: Path | None = None
    ) -> ProjectImage:
        """Take an image into the project, which is made if there is none.

        Raises
        ------
        UserError
            If it is no image, or nothing can be written.
        """
        if self._open is None:
            self.create_project(name)
        image = self._opened().add_image(data, axes, name, path)
        if image.key in self._opened().copies:
            self._set(job="copy", share=0.0)
        return image

    def labels(self, key: str) -> StrokeStore:
        """Return the labels store of an image of the project."""
        return self._opened().labels(key)

    def undo(self, key: str) -> list[Region]:
        """Take back the last stroke on an image, and return where it was.

        Raises
        ------
        UserError
            If the strokes cannot be read.
        """
        regions = self.labels(key).undo()
        self.flush()
        return regions

    def redo(self, key: str) -> list[Region]:
        """Paint the stroke again that was taken back last.

        Raises
        ------
        UserError
            If the strokes cannot be read.
        """
        regions = self.labels(key).redo()
        self.flush()
        return regions

    def prediction(self, key: str, what: str = "live") -> ChunkStore:
        """Return a prediction store of an image of the project."""
        return self._opened().prediction(key, what)

    def set_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        """Change the list of classes."""
        self._opened().project.update(classes=classes)

    def set_settings(self, network: NetworkConfig, training: TrainingConfig) -> None:
        """Change what is trained from the next start on, and how."""
        self._opened().project.update(network=network, training=training)
        self.settings_changed.emit(network, training)

    def ask(self, question: Question) -> None:
        """Ask the engine about a network; it answers by the signal `answered`."""
        self.start_engine()
        self._send(question)

    def flush(self) -> None:
        """Write what was painted and tell the engine; never raises.

        A full disk is told and tried again later; painting goes on in memory.
        """
        if self._open is None:
            return
        try:
            for painted in self._open.flush():
                self._send(painted)
        except OSError as error:
            self._say_disk_refuses(error)

    def keep_stroke(self, key: str) -> None:
        """Make a stroke that has just ended safe; never raises.

        The labels, which the engine reads, are written by the next `flush`.
        """
        try:
            self._opened().keep(key)
        except OSError as error:
            self._say_disk_refuses(error)

    def _say_disk_refuses(self, error: OSError) -> None:
        self.said.emit(
            f"Your strokes cannot be written ({error.strerror or error}); they are "
            "kept in memory. Make room, and they are written by themselves."
        )

    # Training

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

    def pause(self) -> None:
        """Keep the run where it is."""
        self._send(protocol.Pause())

    def stop(self) -> None:
        """End the run; its best weights are kept."""
        self._train_later = None
        if self.status.state in ("training", "paused"):
            self._send(protocol.Stop())
            self._set(state="stopping")

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

    def look_away(self) -> None:
        """Predict nothing on the screen from now on."""
        self._look = None
        self._send(protocol.LookAway())

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

        Raises
        ------
        UserError
            If something is trained just now, or it cannot be written.
        """
        if self.status.state not in ("ready", "dead"):
            raise UserError("Stop the training that runs first.")
        project = self._opened().project
        return_to(project, snapshot)
        self.start_engine()
        self._send(protocol.UseModel(project.model))

    def set_testing(self, image: ProjectImage, boxes: Boxes) -> ProjectImage:
        """Say which parts of an image are for testing only.

        Parameters
        ----------
        image : ProjectImage
            Of the project.
        boxes : tuple
            As `ProjectImage.testing`; empty for none.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        project = self._opened().project
        found = project.image(image.key).model_copy(update={"testing": boxes})
        project.replace_image(found)
        return found

    # Applying

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

    def _opened(self) -> OpenProject:
        if self._open is None:
            raise UserError("There is no project yet; choose an image first.")
        return self._open

    def _require_no_job(self) -> None:
        if self.status.job:
            raise UserError("Something is under way; wait for it or cancel it first.")

    def _use_project(self, project: Project) -> None:
        opened = OpenProject(project)
        self._leave_project()
        self._open = opened
        self.recent.note(project.folder)
        self.project_changed.emit(project)

    def _leave_project(self) -> None:
        self.flush()
        self.stop()
        if self._open is not None:
            self._open.close()
        self._open = self._look = None

    def _send(self, command: protocol.Command) -> None:
        if self._engine is not None:
            self._engine.send(command)

    def _set(self, **changes: Any) -> None:
        status = replace(self.status, **changes)
        if status != self.status:
            self.status = status
            self.status_changed.emit(status)

    # What the engine tells

    def _on_step(self, event: Stepped) -> None:
        now, (then, before) = time.monotonic(), self._last_step
        speed = self.status.speed
        if before and now > then:
            latest = (event.step - before) / (now - then)
            speed = _SMOOTH * speed + (1 - _SMOOTH) * latest if speed else latest
        self._last_step = (now, event.step)
        self._set(step=event.step, seconds=event.seconds, speed=speed)
        self.stepped.emit(event.seconds, event.loss)

    def _on_scored(self, event: Scored) -> None:
        self._set(score=event.score, held_out=event.held_out)
        self.scored.emit(event)
        if self.project is not None:
            self.project.note(
                time=time.time(),
                step=event.step,
                seconds=round(event.seconds, 2),
                score=event.score,
                held_out=event.held_out,
            )

    def _on_resumed(self, _: protocol.Resumed) -> None:
        self._last_step = (0.0, 0)
        self._set(state="training")

    def _on_finished(self, event: Finished) -> None:
        self._set(state="ready", speed=0.0)
        if event.reason == "failed":
            self.said.emit(event.message)
        self.finished.emit(event)

    def _on_shown(self, event: protocol.Shown) -> None:
        if self._open is not None:
            self._open.reload(event.key, "live", event.region)
            if event.probability:
                self._open.reload(event.key, "probability", event.region)
        self.shown.emit(event)

    def _on_suggested(self, event: protocol.Suggested) -> None:
        self._suggestions.append((event.key, event.region))
        self.suggested.emit(event)

    def _on_job_finished(self, event: protocol.JobFinished) -> None:
        self._set(job="", share=0.0)
        if event.job == "apply" and event.reason == "done" and self._open is not None:
            self._open.forget("masks")
        if event.reason == "failed":
            self.said.emit(event.message)
        self.job_finished.emit(event)

    def _on_death(self, event: protocol.EngineDied) -> None:
        before = self.status
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._set(state="dead", warm=False, speed=0.0, job="", share=0.0)
        self.said.emit(event.message)
        if before.state in ("training", "paused", "stopping"):
            self.finished.emit(Finished("failed", event.message))
        if before.job == "apply" or before.job == "export":
            self.job_finished.emit(
                protocol.JobFinished(before.job, "failed", Path(), event.message)
            )

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
