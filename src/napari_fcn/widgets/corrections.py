"""Corrections on the image that is worked on: clicks on pieces, and drawn areas."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from napari_fcn.data.correct import area_of, connected_piece, fill, fill_unpainted
from napari_fcn.errors import UserError
from napari_fcn.widgets.placement import placement
from napari_fcn.widgets.view import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Labels, Layer
    from numpy.typing import NDArray

    from napari_fcn.project import ProjectImage
    from napari_fcn.widgets.scene import Scene

    Plane = tuple[int | slice, ...]
    Mask = NDArray[np.bool_]
    Box = tuple[tuple[int, int], ...]

_MOST_PLANES = 200
_CLOSED = ("rectangle", "polygon", "ellipse")
_NO_IMAGE = "Choose an image first, and press Start labelling."
_NO_STROKES = "This is for strokes; choose the first task in Label & Train for it."


class Corrections:
    """What the dock Correct does.

    Parameters
    ----------
    scene : Scene
        The image that is worked on.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._book = scene.workbench
        self.areas: Shapes | None = None
        self.tested: Shapes | None = None

    def take_piece(self, position: Any, value: int | None) -> int:
        """Take the piece of the prediction under a point over into the labels.

        Parameters
        ----------
        position : sequence of float
            In the coordinates of the world.
        value : int, optional
            The class it shall be, also where another is painted; as predicted, where
            nothing is painted, if None.

        Returns
        -------
        int
            How many pixels have changed.

        Raises
        ------
        UserError
            If there is no prediction there.
        """
        image, strokes = self._here()
        point = np.asarray(strokes.world_to_data(position))
        point = self._without_channel(np.round(point).astype(int))
        axes = self._plane_axes(image)
        predicted, plane = self._prediction(image, strokes)
        spot = (int(point[axes[0]]), int(point[axes[1]]))
        mask = connected_piece(predicted, spot)
        if predicted[spot] < 0:
            raise UserError("Nothing is predicted there yet; wait for the prediction.")
        store = self._book.labels(image.key)
        if value is None:
            changed = fill_unpainted(store, plane, mask, self._painted(predicted))
        else:
            changed = fill(store, plane, mask, value)
        return self._done(strokes, changed)

    def draw_areas(self) -> Shapes:
        """Show a layer to draw areas in."""
        image, over = self._over()
        layers = self._scene.viewer.layers
        if self.areas is None or self.areas not in layers:
            self.areas = Shapes(
                ndim=over.ndim,
                name=f"{image.name} – areas",
                edge_color="#ffffff",
                face_color="#ffffff30",
                **placement(over, over.ndim),
            )
            layers.append(self.areas)
        self.areas.mode = "add_polygon"
        layers.selection.active = self.areas
        return self.areas

    def take_areas(self, value: int | None = None) -> int:
        """Take the prediction inside the areas over into the labels.

        Parameters
        ----------
        value : int, optional
            The class that all predicted objects inside shall be, also where they are
            painted; as predicted, where nothing is painted, if None.

        Raises
        ------
        UserError
            If no area is drawn, or nothing is predicted.
        """
        image, strokes = self._here()
        store, changed = self._book.labels(image.key), 0
        predicted, here = self._prediction(image, strokes)
        for plane, mask in self._masks(image, strokes):
            if plane == here and value is not None:
                changed += fill(store, plane, mask & (predicted > 0), value)
            elif plane == here:
                found = mask & (predicted >= 0)
                values = self._painted(predicted)
                changed += fill_unpainted(store, plane, found, values)
        self._clear()
        return self._done(strokes, changed)

    def fill_areas(self) -> int:
        """Make all that is not painted inside the areas background.

        Raises
        ------
        UserError
            If no area is drawn.
        """
        image, strokes = self._here()
        store, changed = self._book.labels(image.key), 0
        for plane, mask in self._masks(image, strokes):
            changed += fill_unpainted(store, plane, mask, self._background())
        self._clear()
        return self._done(strokes, changed)

    def test_areas(self) -> int:
        """Keep the boxes around the areas for testing; returns how many there are.

        Raises
        ------
        UserError
            If no area is drawn.
        """
        image, over = self._over()
        first, second = self._plane_axes(image)
        boxes = list(image.testing)
        for plane, mask in self._masks(image, over):
            if not mask.any():
                continue
            box = [(i, i + 1) if isinstance(i, int) else (0, 0) for i in plane]
            for axis, found in ((first, mask.any(1)), (second, mask.any(0))):
                inside = np.flatnonzero(found)
                box[axis] = (int(inside[0]), int(inside[-1]) + 1)
            boxes.append(tuple(box))
        self._scene.note(self._book.set_testing(image, tuple(boxes)))
        self._clear()
        self.show_testing()
        return len(boxes)

    def test_image(self, whole: bool) -> None:
        """Keep the whole image for testing, or nothing of it."""
        image, _ = self._over()
        box = tuple((0, n) for n in image.label_shape)
        self._scene.note(self._book.set_testing(image, (box,) if whole else ()))
        self.show_testing()

    def show_testing(self) -> None:
        """Show the boxes that are for testing only; a whole image has none."""
        image, over = self._scene.image, self._surface()
        layers = self._scene.viewer.layers
        if self.tested is not None and self.tested in layers:
            layers.remove(self.tested)
        self.tested = None
        if image is None or over is None or self._scene.layer not in layers:
            return
        corners = [c for box in image.testing for c in self._corners(image, box)]
        if not corners:
            return
        chosen = layers.selection.active
        self.tested = Shapes(
            corners,
            shape_type="rectangle",
            name=f"{image.name} – for testing",
            edge_color="#c08bff",
            face_color="transparent",
            edge_width=max(1.0, max(image.label_shape) / 400),
            **placement(over, over.ndim),
        )
        self.tested.editable = False
        layers.append(self.tested)
        layers.selection.active = chosen

    def _corners(self, image: ProjectImage, box: Box) -> Iterator[NDArray[np.float64]]:
        """Yield a rectangle for each plane that a box touches."""
        if box == tuple((0, n) for n in image.label_shape):
            return
        first, second = self._plane_axes(image)
        others = [i for i in range(len(box)) if i not in (first, second)]
        planes = list(product(*(range(*box[i]) for i in others)))
        (top, bottom), (left, right) = box[first], box[second]
        for plane in planes[:_MOST_PLANES]:
            points = np.zeros((4, len(box)))
            points[:, others] = plane
            points[:, first] = np.array([top, top, bottom, bottom]) - 0.5
            points[:, second] = np.array([left, right, right, left]) - 0.5
            skip = self._scene.skip
            yield points if skip is None else np.insert(points, skip, 0, axis=1)

    # Where it is

    def _surface(self) -> Layer | None:
        """Return a layer of the size of the labels, whatever the task."""
        targets = self._scene.targets
        areas = targets.areas if targets is not None else None
        return self._scene.surface or areas

    def _over(self) -> tuple[ProjectImage, Layer]:
        image, over = self._scene.image, self._surface()
        if image is None or over is None:
            raise UserError(_NO_IMAGE)
        return image, over

    def _here(self) -> tuple[ProjectImage, Labels]:
        if self._book.project is not None and self._book.task != "segmentation":
            raise UserError(_NO_STROKES)
        image, strokes = self._scene.image, self._scene.strokes
        if image is None or strokes is None:
            raise UserError(_NO_IMAGE)
        return image, strokes

    def _plane_axes(self, image: ProjectImage) -> tuple[int, int]:
        """Return the axes of a plane in the labels, in the order of the array."""
        one, two = image.label_axes.spatial(2)
        return (one, two) if one < two else (two, one)

    def _without_channel(self, point: NDArray[Any]) -> NDArray[Any]:
        skip = self._scene.skip
        return point if skip is None else np.delete(point, skip)

    def _prediction(
        self, image: ProjectImage, strokes: Labels
    ) -> tuple[NDArray[np.int16], Plane]:
        """Return what is predicted of the plane on the screen; -1 where not seen."""
        seen = visible(
            self._scene.viewer, strokes, image.label_axes, 2, self._scene.skip
        )
        places = image.label_axes.samples(2)
        index: list[int | slice] = [slice(None)] * len(image.label_shape)
        for axis, i in zip(places, seen.sample, strict=True):
            index[axis] = i
        plane = tuple(index)
        stored = np.asarray(self._book.prediction(image.key)[plane])
        rows, columns = image.label_axes.spatial(2)
        region = seen.region if rows < columns else seen.region[::-1]
        found = np.full(stored.shape, -1, np.int16)
        found[region] = stored[region]
        if not stored.any():
            raise UserError("Nothing is predicted yet; train first.")
        return found, plane

    def _masks(self, image: ProjectImage, over: Layer) -> Iterator[tuple[Plane, Mask]]:
        areas = self._scene.viewer.layers.selection.active
        if not isinstance(areas, Shapes):
            areas = self.areas
        if areas is None or areas not in self._scene.viewer.layers or not areas.nshapes:
            raise UserError("Draw an area first, around what you mean.")
        first, second = self._plane_axes(image)
        shape = (image.label_shape[first], image.label_shape[second])
        current = np.array(self._scene.viewer.dims.point)
        for corners, kind in zip(areas.data, areas.shape_type, strict=True):
            if kind not in _CLOSED:
                continue
            world = np.array([areas.data_to_world(c) for c in corners])
            if world.shape[1] < over.ndim:  # drawn on a picture without sliders
                lead = np.repeat(current[None, : -world.shape[1]], len(world), 0)
                world = np.concatenate([lead, world], 1)
            points = np.array([over.world_to_data(w) for w in world])
            points = np.array([self._without_channel(p) for p in points])
            index: list[int | slice] = [slice(None)] * len(image.label_shape)
            for axis in range(len(index)):
                if axis not in (first, second):
                    index[axis] = int(np.round(points[0, axis]))
            yield tuple(index), area_of(kind, points[:, (first, second)], shape)

    def _clear(self) -> None:
        areas = self._scene.viewer.layers.selection.active
        areas = areas if isinstance(areas, Shapes) else self.areas
        targets = self._scene.targets
        kept = (targets.areas, targets.boxes) if targets is not None else ()
        if areas is not None and areas not in kept:  # those are annotation
            areas.data = []

    # What it becomes

    def _background(self) -> int:
        classes = self._scene.classes()
        return next((c.value for c in classes if c.background), 1)

    def _painted(self, predicted: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return painted numbers, which have one for the background."""
        return np.where(predicted == 0, self._background(), predicted)

    def _done(self, strokes: Labels, changed: int) -> int:
        self._book.flush()
        strokes.refresh()
        return changed
