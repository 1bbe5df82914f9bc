"""The receptive field around the cursor: as a box, and as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_fcn.config import usual_network
from napari_fcn.widgets.picture import Aim, Picture, add_quietly
from napari_fcn.widgets.placement import placement
from napari_fcn.workbench.questions import Described, FieldSeen, SeeField

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_fcn.widgets.scene import Scene
    from napari_fcn.workbench.session import Workbench

_REST_MS = 150
"""How long the cursor must rest before the engine is asked for a heat map."""
BOX, HEAT = "receptive field (box)", "receptive field (heat map)"
_NO_IMAGE = "Start labelling an image first."


class FieldView(QObject):
    """Follows the cursor with what a network sees.

    The box is drawn in the window. The heat map is computed by the engine's process
    where the cursor rests; there is never more than one question under way.

    Parameters
    ----------
    viewer : ViewerModel
        Where the cursor is.
    scene : Scene
        Whose image.
    workbench : Workbench
        Whose engine.
    """

    said = Signal(str)
    seen = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        scene: Scene,
        workbench: Workbench,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._scene, self._workbench = viewer, scene, workbench
        self._described: Described | None = None
        self._box: Shapes | None = None
        self._heat = Picture(viewer, HEAT)
        self._show_box = self._show_heat = False
        self._last: NDArray[np.int64] | None = None
        self._asked: SeeField | None = None
        self._again = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._ask)
        viewer.mouse_move_callbacks.append(self._on_move)
        workbench.answered.connect(self._on_answer)
        workbench.status_changed.connect(self._on_status)
        scene.opened.connect(self.forget)

    def show_box(self, shown: bool) -> None:
        """Show or hide the box of all pixels that a network can see."""
        self._show_box = shown
        if not shown and self._box is not None:
            if self._box in self._viewer.layers:
                self._viewer.layers.remove(self._box)
            self._box = None
        self._follow()

    def show_heat(self, shown: bool) -> None:
        """Show or hide the heat map of how much each pixel counts."""
        self._show_heat = shown
        if not shown:
            self._heat.remove()
        self._follow()

    def describe(self, answer: Described) -> None:
        """Take over what the network sees."""
        self._described = answer if not answer.error else None
        self._follow()

    def forget(self) -> None:
        """Begin anew, on another image."""
        self._last = None
        self._heat.remove()
        box, self._box = self._box, None
        if box is not None and box in self._viewer.layers:
            self._viewer.layers.remove(box)

    def close(self) -> None:
        """Take everything out of the viewer and stop following."""
        if self._on_move in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_move)
        self._rest.stop()
        self.show_box(False)
        self.show_heat(False)

    def _on_move(self, _viewer: ViewerModel, event: Any) -> None:
        if not isalive(self):  # the dock was closed; the viewer goes on
            return
        aim = self._aim() if self._show_box or self._show_heat else None
        if aim is None:
            return
        point = aim.point(np.asarray(event.position)[-aim.layer.ndim :])
        if point is None or (
            self._last is not None and np.array_equal(point, self._last)
        ):
            return
        self._last = point
        self._follow()

    def _aim(self) -> Aim | None:
        project = self._workbench.project
        if project is None or self._scene.layer is None:
            return None
        if self._scene.layer not in self._viewer.layers:
            return None
        try:
            return Aim(self._scene, project.record.network.ndim)
        except ValueError:  # a volume is asked for where there is no Z
            return None

    def _follow(self) -> None:
        """Show both where the cursor is; in the middle of the image at first."""
        if not (self._show_box or self._show_heat):
            return
        aim = self._aim()
        if aim is None:
            self.said.emit(_NO_IMAGE)
            return
        if self._last is None:
            size = np.array(aim.layer.data.shape[: aim.layer.ndim])
            current = aim.layer.world_to_data(
                np.asarray(self._viewer.dims.point)[-aim.layer.ndim :]
            )
            point = np.clip(np.round(current).astype(int), 0, size - 1)
            plane = list(aim.spatial[-2:])
            point[plane] = size[plane] // 2
            self._last = point
        if self._show_box and self._described is not None:
            self._draw_box(aim, self._described)
        if self._show_heat:
            self._rest.start()

    def _draw_box(self, aim: Aim, network: Described) -> None:
        assert self._last is not None
        corners = np.tile(self._last.astype(float), (4, 1))
        for number, axis in enumerate(aim.spatial[-2:]):
            low = self._last[axis] - network.before[number - 2] - 0.5
            high = self._last[axis] + network.after[number - 2] + 0.5
            around = (low, low, high, high) if number == 0 else (low, high, high, low)
            corners[:, axis] = around
        if self._box is None or self._box not in self._viewer.layers:
            self._box = Shapes(
                [corners],
                shape_type="rectangle",
                ndim=aim.layer.ndim,
                name=BOX,
                edge_color="#ffd500",
                face_color="transparent",
                edge_width=max(1.0, max(network.size) / 80),
                **placement(aim.layer, aim.layer.ndim),
            )
            add_quietly(self._viewer, self._box)
        else:
            self._box.data = [corners]

    def _ask(self) -> None:
        """Ask for a heat map, after the answer before has come."""
        aim, project, image = self._aim(), self._workbench.project, self._scene.image
        if aim is None or project is None or image is None or self._last is None:
            return
        if self._asked is not None:
            self._again = True
            return
        record = project.record
        self._asked = SeeField(
            project.folder,
            image,
            tuple(int(self._last[i]) for i in aim.samples),
            tuple(int(self._last[i]) for i in aim.spatial),
            usual_network(record.network, record.task, record.training),
            project.folder / "predictions" / f"{image.key}-field.npy",
        )
        self._workbench.ask(self._asked)

    def _on_answer(self, answer: object) -> None:
        if not isinstance(answer, FieldSeen) or answer.question != self._asked:
            return
        if not isalive(self):
            return
        question, self._asked = answer.question, None
        aim = self._aim()
        if self._again:
            self._again = False
            self._rest.start()
        if not self._show_heat or aim is None or self._scene.image != question.image:
            return
        self.seen.emit(answer)
        if answer.error:
            return
        try:
            values = np.load(question.out)
        except (OSError, ValueError) as error:
            self.said.emit(f"The heat map cannot be read ({error}); move the cursor.")
            return
        # the root, so that what counts little is seen, too
        self._heat.show(np.sqrt(values), aim, question.sample, answer.start)

    def _on_status(self, status: Any) -> None:
        if status.state == "dead":  # no answer will come
            self._asked, self._again = None, False
