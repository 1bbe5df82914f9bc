"""The layers of counting and of image to image: dots, areas, boxes, predictions.

What is drawn on them is in the project's folder when the hand is lifted; what they
show of predictions lies in the project's stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from napari.layers import Image, Points, Shapes
from napari.utils.colormaps import Colormap
from scipy.spatial import cKDTree

from napari_fcn.config import BLIND_SPOT, HETEROSCEDASTIC
from napari_fcn.errors import UserError
from napari_fcn.project.targets import Area, CountBox, Dot
from napari_fcn.widgets.deviation_layers import DeviationLayers
from napari_fcn.widgets.over_image import OverImage
from napari_fcn.widgets.placement import placement
from napari_fcn.widgets.shown_range import range_of
from napari_fcn.workbench.live_stores import live_store

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo, Task
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.session import Workbench

_AREA = {"edge_color": "#00d0ff", "face_color": "transparent"}
_BOX = {"edge_color": "#ffe14d", "face_color": "transparent"}
_STEADY = 0.05
"""Share of the range of colours that a limit may be off before it is changed."""
_SAME = 2.0
"""Distance in pixels of points that are one."""
_UNDECIDED = ("adding", "removing", "changing")


class TargetLayers(OverImage):
    """What is shown over one image while objects are counted or images learned.

    Attributes
    ----------
    dots : Points, optional
        One per object.
    areas : Shapes, optional
        Where all objects have dots, or where targets are trusted.
    boxes : Shapes, optional
        Where objects are counted.
    predictions : dict
        Image layers by the class of a density, or the place of an output.
    deviations : DeviationLayers
        By how much predicted images may be off, where the network learns that.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        workbench: Workbench,
        layer: Image,
        image: ProjectImage,
    ) -> None:
        super().__init__(viewer, workbench, layer, image)
        self.task: Task = "segmentation"
        self.dots: Points | None = None
        self.areas: Shapes | None = None
        self.boxes: Shapes | None = None
        self.predictions: dict[int, Image] = {}
        self.deviations = DeviationLayers(viewer, workbench, layer, image)
        self._titles: dict[int, str] = {}
        self._colours: dict[int, str] = {}
        self._scaled: set[int] = set()
        self._limits: dict[int, list[float]] = {}
        self._quiet = False

    @property
    def surface(self) -> Image | None:
        """A layer of the size of the labels; None if there is none."""
        there = (p for p in self.predictions.values() if p in self.viewer.layers)
        return next(there, None)

    def show(self, task: Task, classes: tuple[ClassInfo, ...]) -> None:
        """Show what the task needs, and take away what another one needed."""
        if task != self.task:
            self.remove()
        self.task = task
        self.show_predictions(classes)
        if self.areas is None:
            self.areas = self._add_shapes("areas", _AREA)
        if task == "density":
            if self.boxes is None:
                self.boxes = self._add_shapes("boxes", _BOX)
                self._show_texts([""] * len(self.boxes.data))
            if self.dots is None:
                self.dots = self._add_dots(classes)
            self.viewer.layers.selection.active = self.dots

    def show_predictions(self, classes: tuple[ClassInfo, ...]) -> None:
        """Show a layer for each density or output; those that are no more go."""
        wanted = self._wanted(classes)
        for number in [n for n in self.predictions if n not in wanted]:
            self._remove(self.predictions.pop(number))
        for number, (title, colours) in wanted.items():
            if number not in self.predictions:
                self.predictions[number] = self._add_prediction(number, title, colours)
            elif self._titles.get(number) != title:
                self.predictions[number].name = self._title(title)
        self._titles = {number: title for number, (title, _) in wanted.items()}
        self.deviations.show(self._unsure(), list(self.predictions.values()))
        self._colours = {c.value: c.colour for c in classes}
        if self.dots is not None:
            self._colour_dots()

    def pick(self, value: int) -> None:
        """Put dots of this class into the user's hand."""
        layer = self.dots
        if layer is None or layer not in self.viewer.layers:
            return
        layer.selected_data = set()
        layer.feature_defaults = {"class": value}
        layer.current_face_color = self._colours.get(value, "#ffb000")
        layer.mode = "add"
        self.viewer.layers.selection.active = layer

    def others(self) -> list[Points]:
        """Return the layers of points whose points may become dots."""
        found = [x for x in self.viewer.layers if isinstance(x, Points)]
        return [x for x in found if x is not self.dots and x.ndim <= self._ndim]

    def take_dots(self, layer: Points, value: int, known: Collection[int]) -> int:
        """Add a dot for each point of another layer that is not there already.

        Points that lie outside of the image are left out. A layer with fewer axes
        lies in the slice that is shown.

        Parameters
        ----------
        layer : Points
            One of `others`. Its feature ``class`` says which class a dot is of.
        value : int
            The class of the others.
        known : collection of int
            Classes that there are.

        Returns
        -------
        int
            How many dots were added.
        """
        assert self.dots is not None
        here = self.viewer.dims.point[-self._ndim :][: self._ndim - layer.ndim]
        world = [(*here, *layer.data_to_world(p)) for p in layer.data]
        places = np.array([self.dots.world_to_data(p) for p in world])
        places = places.reshape(-1, self._ndim)
        values = np.full(len(places), value)
        if "class" in layer.features:
            named = layer.features["class"].to_numpy()
            values = np.where(np.isin(named, list(known)), named, value).astype(int)
        new = self._inside(places) & ~self._dotted_already(places)
        for one in np.unique(values[new]):
            self.dots.feature_defaults = {"class": int(one)}
            self.dots.add(places[new & (values == one)])
        self._colour_dots()
        return int(new.sum())

    def _inside(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        shape = self.image.label_shape
        plain = np.array(self._plain(places)).reshape(-1, len(shape))
        inside = (plain > -0.5) & (plain < np.array(shape) - 0.5)
        return np.asarray(inside.all(1), bool)

    def _dotted_already(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        assert self.dots is not None
        if not len(self.dots.data):
            return np.zeros(len(places), bool)
        distance, _ = cKDTree(self.dots.data).query(places)
        return np.asarray(distance < _SAME, bool)

    def draw(self, name: str, mode: str) -> None:
        """Let the user draw areas or boxes."""
        layer = getattr(self, name)
        if layer is not None and layer in self.viewer.layers:
            layer.selected_data = set()
            layer.mode = mode
            self.viewer.layers.selection.active = layer

    def refresh(self) -> None:
        """Draw the predictions anew."""
        for number, layer in self.predictions.items():
            if not layer.visible or layer not in self.viewer.layers:
                continue
            if number not in self._scaled:
                self._scale(number, layer)
            layer.refresh(thumbnail=False, extent=False, highlight=False)
        self.deviations.refresh()

    def follow(self, image: ProjectImage) -> None:
        """Go where the user's layer has gone, and take its new name on."""
        super().follow(image)
        self.deviations.follow(image)

    def rescale(self) -> None:
        """Choose the range of the colours anew at the next picture."""
        self._scaled.clear()
        self._limits.clear()

    def show_texts(self, texts: list[str]) -> None:
        """Write into each box what was counted there."""
        if self.boxes is not None and len(texts) == len(self.boxes.data):
            self._show_texts(texts)

    def all(self) -> list[Layer]:
        """Return all layers that are there."""
        drawn = [x for x in (self.areas, self.boxes, self.dots) if x is not None]
        return [*self.predictions.values(), *drawn]

    def forget(self, layer: Layer) -> bool:
        """Forget a layer that the user has deleted; what it showed stays on disk."""
        for name in ("dots", "areas", "boxes"):
            if getattr(self, name) is layer:
                setattr(self, name, None)
                return True
        for number in [n for n, p in self.predictions.items() if p is layer]:
            del self.predictions[number]
            self._scaled.discard(number)
            self._limits.pop(number, None)
            return True
        return self.deviations.forget(layer)

    def remove(self) -> None:
        """Take all layers out of the viewer."""
        layers = self.all()
        self.dots = self.areas = self.boxes = None
        self.predictions = {}
        self.rescale()
        self.deviations.show((), ())
        for layer in layers:
            self._remove(layer)

    def _wanted(self, classes: tuple[ClassInfo, ...]) -> dict[int, tuple[str, Any]]:
        """Return title and colours of each prediction by its number."""
        if self.task == "density":
            counted = [c for c in classes if not c.background]
            maps = [
                "magma" if len(counted) == 1 else Colormap(["#000000", c.colour])
                for c in counted
            ]
            return {
                c.value: (f"density of {c.name}", m)
                for c, m in zip(counted, maps, strict=True)
            }
        names = self.workbench.targets(self.image.key).outputs
        project = self.workbench.project
        if project is not None and project.record.image_to_image.loss == BLIND_SPOT:
            channel = self.image.axes.axes().channel
            count = 1 if channel is None else self.image.shape[channel]
            names = tuple(
                "without noise" if count == 1 else f"without noise {n + 1}"
                for n in range(count)
            )
            return {n: (name, "gray") for n, name in enumerate(names)}
        return {n: (f"predicted {name}", "gray") for n, name in enumerate(names)}

    def _unsure(self) -> tuple[str, ...]:
        """Return the outputs of which the network learns how far they may be off."""
        project = self.workbench.project
        if self.task != "regression" or project is None:
            return ()
        if project.record.image_to_image.loss != HETEROSCEDASTIC:
            return ()
        return self.workbench.targets(self.image.key).outputs

    def _add_prediction(self, number: int, title: str, colours: Any) -> Image:
        store = self.workbench.prediction(self.image.key, live_store(self.task, number))
        data = self._aligned(store)
        layer = Image(
            data,
            name=self._title(title),
            colormap=colours,
            contrast_limits=(0, 1),
            blending="additive" if self.task == "density" else "translucent",
            **placement(self.layer, data.ndim),
        )
        self.viewer.layers.insert(self.viewer.layers.index(self.layer) + 1, layer)
        return layer

    def _add_shapes(self, name: str, look: dict[str, Any]) -> Shapes:
        kept = self._kept(name)
        corners = [self._shown(np.array(k.corners, float)) for k in kept]
        forms = [getattr(k, "form", "rectangle") for k in kept]
        ndim = self._ndim
        width = max(0.5, min(self.image.label_shape[-2:]) / 250)
        layer = Shapes(
            corners or None,
            ndim=ndim,
            shape_type=forms or "rectangle",
            edge_width=width,
            opacity=1,
            name=self._title(self._called(name)),
            **look,
            **placement(self.layer, ndim),
        )
        layer.current_edge_width = width
        layer.current_edge_color = look["edge_color"]
        layer.current_face_color = look["face_color"]
        layer.events.data.connect(lambda event: self._on_drawn(name, event))
        self.viewer.layers.append(layer)
        return layer

    def _add_dots(self, classes: tuple[ClassInfo, ...]) -> Points:
        kept = self.workbench.targets(self.image.key).dots
        places = np.array([d.place for d in kept], float)
        ndim = self._ndim
        first = next((c.value for c in classes if not c.background), 2)
        layer = Points(
            self._shown(places) if len(places) else None,
            ndim=ndim,
            features={"class": np.array([d.value for d in kept], int)},
            feature_defaults={"class": first},
            size=max(3.0, min(self.image.label_shape[-2:]) / 60),
            name=self._title("dots"),
            border_color="white",
            **placement(self.layer, ndim),
        )
        layer.events.data.connect(lambda event: self._on_drawn("dots", event))
        self.viewer.layers.append(layer)
        self.dots = layer
        self._colour_dots()
        return layer

    @property
    def _ndim(self) -> int:
        return len(self.image.label_shape) + (self.skip is not None)

    def _called(self, name: str) -> str:
        if name == "boxes":
            return "boxes to count in"
        return "dotted areas" if self.task == "density" else "trusted areas"

    def _kept(self, name: str) -> tuple[Any, ...]:
        targets = self.workbench.targets(self.image.key)
        if name == "boxes":
            return targets.boxes
        return targets.dotted if self.task == "density" else targets.trusted

    def _shown(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places in a layer that may have an axis more than the labels."""
        if self.skip is None:
            return places
        now = self.viewer.dims.current_step
        offset = self.viewer.dims.ndim - self._ndim
        return np.insert(places, self.skip, now[self.skip + offset], axis=1)

    def _plain(self, places: NDArray[Any]) -> list[tuple[float, ...]]:
        if self.skip is not None:
            places = np.delete(places, self.skip, axis=1)
        return [tuple(float(x) for x in place) for place in np.asarray(places)]

    def _colour_dots(self) -> None:
        layer = self.dots
        assert layer is not None
        colours = [self._colours.get(int(v), "#888888") for v in self._values()]
        if colours:
            layer.face_color = colours
        layer.current_face_color = self._colours.get(
            int(layer.feature_defaults["class"].iloc[0]), "#ffb000"
        )

    def _values(self) -> NDArray[np.int64]:
        assert self.dots is not None
        found = self.dots.features["class"].fillna(2)
        return np.asarray(found, np.int64)

    def _show_texts(self, texts: list[str]) -> None:
        layer = self.boxes
        assert layer is not None
        self._quiet = True
        try:
            layer.features = {"count": np.array(texts, dtype=object)}
            layer.feature_defaults = {"count": ""}
            layer.text = {
                "string": "{count}",
                "color": "#ffe14d",
                "size": 14,
                "anchor": "upper_left",
            }
        finally:
            self._quiet = False

    def _scale(self, number: int, layer: Image) -> None:
        """Give a layer the range of what it shows, once there is something.

        That of an image follows what is predicted while the network learns, until the
        user chooses another one.
        """
        widths = self.workbench.calibration.widths.get(number)
        if self.task == "density" and widths is not None:
            height = 1.0
            for width in widths:
                height /= width * (2 * np.pi) ** 0.5
            layer.contrast_limits = (0, height)
            self._scaled.add(number)
            return
        mine = self._limits.get(number)
        if mine is not None and list(layer.contrast_limits) != mine:
            self._scaled.add(number)  # it is the user's now
            return
        found = range_of(np.asarray(layer._data_view, np.float32))
        if found is None:
            return
        low, high = (0.0 if self.task == "density" else found[0]), found[1]
        near = _STEADY * (high - low)
        if mine is None or abs(low - mine[0]) > near or abs(high - mine[1]) > near:
            layer.contrast_limits = (low, high)
            self._limits[number] = list(layer.contrast_limits)

    def _on_drawn(self, name: str, event: Any) -> None:
        """Write what was drawn, as soon as it is decided."""
        if self._quiet or str(getattr(event, "action", "")) in _UNDECIDED:
            return
        try:
            self._keep(name)
        except UserError as error:
            self.workbench.said.emit(str(error))

    def _keep(self, name: str) -> None:
        key = self.image.key
        if name == "dots":
            assert self.dots is not None
            places = self._plain(self.dots.data)
            dots = tuple(
                Dot(place=p, value=int(v))
                for p, v in zip(places, self._values(), strict=True)
            )
            self.workbench.annotate(key, dots=dots)
            return
        layer = getattr(self, name)
        corners = [tuple(self._plain(d)) for d in layer.data]
        if name == "boxes":
            before = {b.corners: b.counts for b in self.workbench.targets(key).boxes}
            boxes = tuple(
                CountBox(corners=c, counts=before.get(c, {})) for c in corners
            )
            self.workbench.annotate(key, boxes=boxes)
            return
        areas = tuple(
            Area(form=f, corners=c)
            for f, c in zip(layer.shape_type, corners, strict=True)
        )
        field = "dotted" if self.task == "density" else "trusted"
        self.workbench.annotate(key, **{field: areas})


def whole_layers(
    array: Any, axis: int | None, live: list[Image], around: Image
) -> list[Image]:
    """Return layers of what was predicted of a whole image, looking as the live ones.

    Parameters
    ----------
    array : array
        Of the shape of the labels, after the channels if there are several.
    axis : int, optional
        Where the channels are.
    live : list of Image
        The layers whose places, names and colours are taken over.
    around : Image
        The image.
    """
    layers = []
    for number, model in enumerate(live):
        data = array if axis is None else da.from_zarr(array)[number]
        if data.ndim != model.ndim:  # channels that the labels do not have
            return []
        layers.append(
            Image(
                data,
                name=f"{model.name} (whole image)",
                colormap=model.colormap,
                contrast_limits=model.contrast_limits,
                blending=model.blending,
                **placement(around, data.ndim),
            )
        )
    return layers
