"""One viewer's project: made, opened, moved, and kept in step with the engine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.data.files import remove
from napari_fcn.errors import UserError
from napari_fcn.project import Project, ProjectImage
from napari_fcn.project.history import Timeline
from napari_fcn.project.recent import RecentProjects, default_file
from napari_fcn.workbench import protocol
from napari_fcn.workbench.engine_client import EngineClient
from napari_fcn.workbench.live_stores import COMPARED
from napari_fcn.workbench.stores import OpenProject

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.axes import Axes
    from napari_fcn.data.store import ChunkStore, Region
    from napari_fcn.data.strokes import StrokeStore
    from napari_fcn.engine.events import Finished, Scored, Stepped
    from napari_fcn.project.history import History
    from napari_fcn.workbench.process import EngineProcess

    Boxes = tuple[tuple[tuple[int, int], ...], ...]


class ProjectClient(EngineClient):
    """Holds the project and its strokes; the engine learns what changes.

    Parameters
    ----------
    home : Path, optional
        Where new projects are made; ``~/napari-fcn`` by default.
    start_process : callable
        Starts an engine.
    """

    project_changed = Signal(Project)
    settings_changed = Signal(NetworkConfig, TrainingConfig)

    def __init__(
        self, home: Path | None, start_process: Callable[[], EngineProcess]
    ) -> None:
        super().__init__(start_process)
        self.recent = RecentProjects(home / "recent.json" if home else default_file())
        self.home = home or self.recent.home or Path.home() / "napari-fcn"
        self._open: OpenProject | None = None
        self._disk_refused = False
        self._run: tuple[History, str] | None = None

    def close(self) -> None:
        """Write what was painted and end the engine."""
        self.flush()
        self._end_history()
        if self._open is not None:
            self._open.close()
        super().close()

    def start_engine(self) -> None:
        """Start the engine's process, which knows the project's network at once."""
        if self._engine is not None:
            return
        super().start_engine()
        if self._open is not None:
            self._use_model()

    @property
    def project(self) -> Project | None:
        """The project, once there is one."""
        return self._open.project if self._open is not None else None

    def create_project(self, name: str) -> Project:
        """Make a project in the home folder, or in a temporary one if it must be."""
        self._require_all_written()
        try:
            project = Project.create(self.home / name)
        except UserError as error:
            place = Path(tempfile.mkdtemp(prefix="napari-fcn-"))
            project = Project.create(place / name)
            self.said.emit(f"{error} For now it is kept in {place}.")
        self._use_project(project)
        return project

    def open_project(self, folder: Path) -> Project:
        """Open a project.

        Raises
        ------
        UserError
            If it cannot be opened, or strokes in memory would be lost.
        """
        self._require_all_written()
        project = Project.open(folder)
        self._use_project(project)
        opened = self._opened()
        if opened.older is not None:
            self.said.emit(
                f"{folder.name} was of an older format; as it was it is kept in "
                f"{opened.older.name}, beside it."
            )
        if opened.history.damaged:
            self.said.emit(
                "What training achieved before is damaged and not shown; strokes and "
                "networks are not touched."
            )
        return project

    def past(self) -> Timeline:
        """Return what training has achieved so far in the project, for its task."""
        if self._open is None:
            return Timeline()
        return self._open.history.read(self._open.project.record.task)

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
        self._require_all_written()
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
            earlier = self.recent.with_image(path) if path is not None else None
            self.create_project(name)
            self._mention(earlier)
        image = self._opened().add_image(data, axes, name, path)
        if image.key in self._opened().copies:
            self._set(job="copy", share=0.0)
        return image

    def _mention(self, earlier: Path | None) -> None:
        """Tell of a project in which the image has been worked on before."""
        if earlier is not None:
            self.said.emit(
                f"This begins anew. The project {earlier.stem} has this image already: "
                "double-click it in the dock Project to go on there."
            )

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
        return self._step(key, self.labels(key).undo)

    def redo(self, key: str) -> list[Region]:
        """Paint the stroke again that was taken back last.

        Raises
        ------
        UserError
            If the strokes cannot be read.
        """
        return self._step(key, self.labels(key).redo)

    def _step(self, key: str, step: Callable[[], list[Region]]) -> list[Region]:
        regions = step()
        self.keep_stroke(key)
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
        self._send(protocol.NoteImage(found))
        return found

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
            return
        if self._disk_refused and not self._open.dirty:
            self._disk_refused = False
            self.said.emit("There is room again: all strokes are written.")

    def keep_stroke(self, key: str) -> None:
        """Make a stroke that has just ended safe; never raises.

        The labels, which the engine reads, are written by the next `flush`.
        """
        try:
            self._opened().keep(key)
        except OSError as error:
            self._say_disk_refuses(error)

    def try_again(self) -> None:
        """Write what waits for a full disk now, in place of after some seconds."""
        if self._open is not None:
            self._open.try_again()
        self.flush()

    @property
    def unwritten(self) -> bool:
        """Whether strokes are in memory only, since the disk refuses them."""
        return self._open is not None and self._open.dirty

    def _say_disk_refuses(self, error: OSError) -> None:
        if self._disk_refused:  # it is tried again and again, but told once
            return
        self._disk_refused = True
        self.said.emit(
            f"Your strokes cannot be written ({error.strerror or error}); they are "
            "kept in memory. Make room, and they are written by themselves."
        )

    def _opened(self) -> OpenProject:
        if self._open is None:
            raise UserError("There is no project yet; choose an image first.")
        return self._open

    def _use_project(self, project: Project) -> None:
        opened = OpenProject(project)
        self._leave_project()
        self._open = opened
        self._suggestions.clear()
        self._recall()
        self.recent.note(project.folder)
        self._use_model()  # before anything of the new project is looked at
        self.project_changed.emit(project)

    def _use_model(self) -> None:
        """Have the engine show what the project's network predicts, if it has one."""
        project = self._opened().project
        known = project.model.is_file() or project.checkpoint.is_file()
        model = project.model if known else None
        self._send(protocol.UseModel(model, project.checkpoint))

    def _require_all_written(self) -> None:
        """Raise `UserError` while strokes are in memory only."""
        self.try_again()
        if self.unwritten:
            raise UserError("Not all strokes are on disk yet; make room there first.")

    def _leave_project(self) -> None:
        self.flush()
        self.stop()
        if self._open is not None:
            self._open.close()
        self._open = self._look = None
        self._disk_refused = False

    def _recall(self) -> None:
        """Have the status say what the run has achieved that can be gone on with."""
        past, known = self.past(), self._opened().project.checkpoint.is_file()
        self._set(
            step=past.step if known else 0,
            seconds=past.seconds if known else 0.0,
            score=past.scores[-1][1] if known and past.scores else None,
            held_out=past.held_out,
            details={},
            speed=0.0,
        )

    def _note_run(self, *, resume: bool) -> None:
        """Note what the run that begins now achieves."""
        opened = self._opened()
        self._run = (opened.history, opened.project.record.task)
        if not resume:
            opened.history.begin_anew()

    def _on_step(self, event: Stepped) -> None:
        if self._run is not None:
            history, task = self._run
            history.note_loss(task, event.step, event.seconds, event.loss)
        if self._is_of_project():
            super()._on_step(event)

    def _on_scored(self, event: Scored) -> None:
        if self._run is not None:
            history, task = self._run
            history.note_score(
                task, event.step, event.seconds, event.score, held_out=event.held_out
            )
        if self._is_of_project():
            super()._on_scored(event)

    def _on_finished(self, event: Finished) -> None:
        self._end_history()
        super()._on_finished(event)

    def _on_death(self, event: protocol.EngineDied) -> None:
        self._end_history()
        super()._on_death(event)

    def _end_history(self) -> None:
        if self._run is not None:
            self._run[0].flush()

    def _is_of_project(self) -> bool:
        """Tell whether the run is that of the project which is open now."""
        opened = self._open
        return self._run is None or opened is None or self._run[0] is opened.history

    def _on_shown(self, event: protocol.Shown) -> None:
        if self._open is not None:
            self._open.reload_live(
                event.key, event.region, probability=event.probability
            )
        super()._on_shown(event)

    def _on_compared(self, event: protocol.Compared) -> None:
        if self._open is not None:
            for name in COMPARED:
                self._open.forget(name)  # all of it is new
        super()._on_compared(event)

    def _on_job_finished(self, event: protocol.JobFinished) -> None:
        if event.job == "apply" and event.reason == "done" and self._open is not None:
            self._open.forget("masks")
        super()._on_job_finished(event)
