"""The ring around the place where to paint next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points

from napari_fcn.widgets.placement import follow, placement

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_fcn.widgets.scene import Scene
    from napari_fcn.workbench.protocol import Suggested

_COLOUR = "#ff3dff"
_LINE = 0.05
"""Width of the ring's line, as a share of its size."""
_SEEN = (40, 1000)
"""Pixels of the screen that it takes at least and at most, however one zooms."""


class PlaceMarker:
    """Shows where to paint next, until something is painted there.

    The layer is a sign and no data: nothing of it is kept, and it cannot be edited.

    Parameters
    ----------
    scene : Scene
        The image that is worked on.

    Attributes
    ----------
    layer : Points, optional
        The ring; None where none is shown.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._strokes: Labels | None = None
        self._around: tuple[slice, ...] = ()
        self._painted = 0
        self.layer: Points | None = None
        scene.viewer.dims.events.connect(self._on_moved)
        scene.changed.connect(self._on_changed)
        scene.opened.connect(self._on_opened)
        scene.workbench.project_changed.connect(self.hide)

    def show(self, place: Suggested) -> None:
        """Put the ring around a place of the image that is worked on."""
        self.hide()
        strokes = self._scene.strokes
        if strokes is None:
            return
        middle = [part.start for part in place.region]
        points = np.array([middle], float)
        skip = self._scene.skip
        if skip is not None:  # it is on every channel
            channels = np.arange(strokes.data.shape[skip])
            points = np.insert(np.repeat(points, len(channels), 0), skip, channels, 1)
        self.layer = Points(
            points,
            name=self._name(),
            size=place.reach,
            symbol="disc",
            face_color="transparent",
            border_color=_COLOUR,
            border_width=_LINE,
            canvas_size_limits=_SEEN,
            **placement(strokes, strokes.ndim),
        )
        self.layer.editable = False
        layers = self._scene.viewer.layers
        layers.append(self.layer)
        layers.selection.active = strokes
        self._strokes, self._around = strokes, self._box(place)
        self._painted = self._count()
        self._on_moved()
        strokes.events.paint.connect(self.look)

    def hide(self, _event: object = None) -> None:
        """Take the ring away."""
        layer, self.layer = self.layer, None
        if self._strokes is not None:
            self._strokes.events.paint.disconnect(self.look)
            self._strokes = None
        if layer is not None and layer in self._scene.viewer.layers:
            self._scene.viewer.layers.remove(layer)

    def look(self, _event: object = None) -> None:
        """Take the ring away if something was painted in it since it is shown."""
        if self.layer is not None and self._count() != self._painted:
            self.hide()

    def _count(self) -> int:
        image = self._scene.image
        assert image is not None
        labels = self._scene.workbench.labels(image.key)
        return int(np.count_nonzero(labels[self._around]))

    def _box(self, place: Suggested) -> tuple[slice, ...]:
        """Return the part of the labels in which painting counts as painting there."""
        image, project = self._scene.image, self._scene.workbench.project
        assert image is not None
        assert project is not None
        half = max(1, place.reach // 2)
        spatial = image.label_axes.spatial(project.record.network.ndim)
        return tuple(
            slice(max(0, part.start - half), part.start + half)
            if axis in spatial
            else part
            for axis, part in enumerate(place.region)
        )

    def _name(self) -> str:
        image = self._scene.image
        return f"{image.name if image is not None else ''} – paint here"

    def _on_moved(self, _event: object = None) -> None:
        """Let it have no size in other slices, where napari puts it into a corner."""
        layer = self.layer
        if layer is None:
            return
        dims = self._scene.viewer.dims
        here = layer.world_to_data(dims.point[dims.ndim - layer.ndim :])
        hidden = [a - dims.ndim + layer.ndim for a in dims.not_displayed]
        axes = [axis for axis in hidden if axis >= 0]
        off = np.abs(layer.data[:, axes] - np.asarray(here)[axes])
        seen = bool((off <= 0.5).all(axis=1).any())
        layer.canvas_size_limits = _SEEN if seen else (0, _SEEN[1])

    def _on_changed(self) -> None:
        """Go where the image goes; it was moved, scaled, renamed, or painted on."""
        layer, strokes = self.layer, self._scene.strokes
        if layer is not None and strokes is not None:
            follow(layer, strokes)
            layer.name = self._name()
            self.look()

    def _on_opened(self) -> None:
        """Leave with the image that the ring belongs to."""
        if self._scene.strokes is not self._strokes:
            self.hide()
