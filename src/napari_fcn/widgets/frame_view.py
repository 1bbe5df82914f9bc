"""What a shift or a border changes in the prediction of what is in view."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_fcn.errors import UserError
from napari_fcn.widgets.picture import Aim, Picture
from napari_fcn.widgets.view import visible
from napari_fcn.workbench.questions import FrameTried, TryFrame

if TYPE_CHECKING:
    from typing import Literal

    from napari.components import ViewerModel

    from napari_fcn.widgets.scene import Scene
    from napari_fcn.workbench.session import Workbench

EFFECT = "change by the frame"
_DARKEST = 0.02
"""Changes are shown on a scale that ends here at the least."""


class FrameView(QObject):
    """Asks the engine what a frame changes, and shows the answer over the image.

    Parameters
    ----------
    viewer : ViewerModel
        Where the image is in view.
    scene : Scene
        Whose image.
    workbench : Workbench
        Whose engine.
    """

    tried = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        scene: Scene,
        workbench: Workbench,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._scene, self._workbench = viewer, scene, workbench
        self._picture = Picture(viewer, EFFECT)
        self._asked: TryFrame | None = None
        workbench.answered.connect(self._on_answer)
        workbench.status_changed.connect(self._on_status)
        scene.opened.connect(self._picture.remove)

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._asked is not None

    def ask(self, kind: Literal["shift", "border"], pixels: int) -> None:
        """Try a frame on what is in view.

        Raises
        ------
        UserError
            If no image is worked on.
        """
        project, image = self._workbench.project, self._scene.image
        if project is None or image is None or self._scene.strokes is None:
            raise UserError("Start labelling an image first.")
        ndim, axes = project.record.network.ndim, image.axes.axes()
        strokes = self._scene.strokes
        skip = axes.channel if strokes.ndim > len(image.label_axes) else None
        now = visible(self._viewer, strokes, image.label_axes, ndim, skip)
        out = project.folder / "predictions" / f"{image.key}-frame.npy"
        self._asked = TryFrame(
            project.folder, image, now.sample, now.region, kind, pixels, out
        )
        self._workbench.ask(self._asked)

    def close(self) -> None:
        """Take the picture out of the viewer."""
        self._picture.remove()

    def _on_answer(self, answer: object) -> None:
        if not isinstance(answer, FrameTried) or answer.question != self._asked:
            return
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        question, self._asked = answer.question, None
        if not answer.error and self._scene.image == question.image:
            try:
                values = np.load(question.out)
            except (OSError, ValueError) as error:
                why = f"The picture cannot be read ({error}); try again."
                self.tried.emit(replace(answer, error=why))
                return
            most = max(float(values.max()), _DARKEST)
            aim = Aim(self._scene, values.ndim)
            self._picture.show(values, aim, question.sample, answer.start, most)
        self.tried.emit(answer)

    def _on_status(self, status: Any) -> None:
        if status.state == "dead" and self._asked is not None and isalive(self):
            question, self._asked = self._asked, None
            self.tried.emit(FrameTried(question, error="The engine stopped; retry."))
