"""What one viewer's images are annotated with beside strokes; which task is learned."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_fcn.config import BLIND_SPOT, CountError, CountingSettings, ImageSettings
from napari_fcn.errors import UserError
from napari_fcn.project.targets import Targets, read_targets, write_targets
from napari_fcn.workbench import protocol
from napari_fcn.workbench.images import keep_target
from napari_fcn.workbench.project_client import ProjectClient
from napari_fcn.workbench.target_order import arranged, require_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from napari_fcn.config import Task
    from napari_fcn.data.axes import Axes
    from napari_fcn.project import Project, ProjectImage
    from napari_fcn.workbench.process import EngineProcess

NO_ERROR = protocol.Calibrated(CountError())


class TargetClient(ProjectClient):
    """Keeps dots, areas, counted boxes and target images of a project.

    Each change is on disk before the engine hears of it.

    Attributes
    ----------
    calibration : Calibrated
        How far counts of the present network are from the truth.
    """

    task_changed = Signal(str)
    calibrated = Signal(protocol.Calibrated)
    annotated = Signal(str)

    def __init__(
        self, home: Path | None, start_process: Callable[[], EngineProcess]
    ) -> None:
        super().__init__(home, start_process)
        self.calibration = NO_ERROR
        self._targets: dict[str, Targets] = {}
        self._wanted: Task = "segmentation"
        self._handlers[protocol.Calibrated] = self._on_calibrated

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.project.record.task if self.project else self._wanted

    @property
    def learns_targets(self) -> bool:
        """Whether target images are learned, not the images themselves."""
        if self.task != "regression" or self.project is None:
            return False
        return self.project.record.image_to_image.loss != BLIND_SPOT

    def set_task(self, task: Task) -> None:
        """Learn something else from now on; nothing that is annotated is touched.

        Raises
        ------
        UserError
            While something is trained, or if it cannot be written.
        """
        if self.project is None:
            self._wanted = task
            self.task_changed.emit(task)
            return
        project = self.project
        if task == project.record.task:
            return
        if self.status.state not in ("ready", "dead"):
            raise UserError("Stop the training that runs first.")
        project.update(task=task)
        self._look = None
        self.calibration = NO_ERROR
        self._recall()
        if project.model.is_file():
            self._send(protocol.UseModel(project.model))
        self.task_changed.emit(task)

    def create_project(self, name: str) -> Project:
        """Make a project for the task that was chosen before there was one."""
        project = super().create_project(name)
        if self._wanted != project.record.task:
            project.update(task=self._wanted)
            self.task_changed.emit(self.task)
        return project

    def targets(self, key: str) -> Targets:
        """Return what an image is annotated with beside strokes.

        Raises
        ------
        UserError
            If the file is damaged.
        """
        if key not in self._targets:
            self._targets[key] = read_targets(self._opened().project.folder, key)
        return self._targets[key]

    def annotate(self, key: str, **changes: Any) -> Targets:
        """Change what an image is annotated with, on disk and in the engine.

        Parameters
        ----------
        key : str
            Of the image.
        **changes
            Fields of `Targets`.

        Raises
        ------
        UserError
            If it cannot be written; then nothing is changed.
        """
        before = self.targets(key)
        changed = Targets(**{**dict(before), **changes})
        if changed != before:
            write_targets(self._opened().project.folder, key, changed)
            self._targets[key] = changed
            self._send(protocol.Annotated(key))
            self.annotated.emit(key)
        return changed

    def add_target(
        self,
        image: ProjectImage,
        data: Any,
        axes: Axes,
        name: str,
        path: Path | None = None,
    ) -> Targets:
        """Let a network make another image of an image.

        If the targets of another image are called the same, they take its order.

        Raises
        ------
        UserError
            If it does not fit the image, cannot be written, or what is learned just
            now has other targets.
        """
        opened = self._opened()
        known = self.targets(image.key).targets
        others = [
            self.targets(i.key).targets
            for i in opened.project.record.images
            if i.key != image.key
        ]
        if known or any(len(targets) > 1 for targets in others):
            self._require_no_run()
        used = {f"{image.key} {t.key}" for t in known} | set(opened.copies)
        number = next(n for n in count() if f"{image.key} target-{n}" not in used)
        target, copy = keep_target(
            opened.project, image, data, axes, name, path, number
        )
        if copy is not None:
            opened.copies[f"{image.key} {target.key}"] = copy
            self._set(job="copy", share=0.0)
        return self.annotate(image.key, targets=arranged((*known, target), others))

    def remove_targets(self, key: str, places: Collection[int]) -> None:
        """Take targets of an image away, by their places; their files stay.

        Raises
        ------
        UserError
            While targets are learned, or if it cannot be written.
        """
        self._require_no_run()
        known = self.targets(key).targets
        kept = tuple(t for n, t in enumerate(known) if n not in places)
        self.annotate(key, targets=kept)

    def _require_no_run(self) -> None:
        """Refuse to change what a run makes of its images."""
        if self.learns_targets and self.status.state not in ("ready", "dead"):
            raise UserError(
                "Stop the training that runs first; then add or remove targets."
            )

    def order_targets(self, images: Sequence[ProjectImage]) -> None:
        """Bring the targets of images into one order, by what they are called.

        Raises
        ------
        UserError
            If it cannot be told which belong together, or it cannot be written.
        """
        before: list[tuple[str, tuple[ProjectImage, ...]]] = []
        for image in images:
            known = self.targets(image.key).targets
            targets = arranged(known, (other for _, other in before))
            require_alike(image.name, targets, before)
            self.annotate(image.key, targets=targets)
            before.append((image.name, targets))

    def set_counting(self, settings: CountingSettings) -> None:
        """Change how counting is learned from the next start on."""
        self._opened().project.update(counting=settings)

    def set_image_to_image(self, settings: ImageSettings) -> None:
        """Change how images are learned from the next start on."""
        self._opened().project.update(image_to_image=settings)

    def _use_project(self, project: Project) -> None:
        self._targets.clear()
        self.calibration = NO_ERROR
        super()._use_project(project)
        self.task_changed.emit(self.task)

    def _on_calibrated(self, event: protocol.Calibrated) -> None:
        self.calibration = event
        self.calibrated.emit(event)
