"""The layers shown over an image: strokes, prediction, probability, masks.

They show the project's stores; nothing is held here that is not on disk.
"""

from __future__ import annotations

import colorsys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_fcn.errors import UserError
from napari_fcn.widgets.differing import Differing
from napari_fcn.widgets.over_image import OverImage
from napari_fcn.widgets.placement import placement
from napari_fcn.widgets.view import go_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.store import Region
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.session import Workbench

    Colours = dict[int | None, str]

_OPACITY = 0.45
_VEIL = 0.6
_BRUSH = 6
_COMPARED = ("first", "second", "differing")
_OURS = ("strokes", "prediction", "probability", "masks", *_COMPARED)
_STORES = {
    "strokes": "labels",
    "prediction": "live",
    "probability": "probability",
    "masks": "masks",
    "first": "compare-1",
    "second": "compare-2",
}
_OUTLINE = 1
_FAINT = 0.35
_DIFFERENT = "#ff3dff"
_TURN = 0.4
"""Of the colour circle: from the amber of the first class to cyan."""
_BRIGHT = 0.65
"""Lightness of outlines, to be seen on dark and on bright images."""


def paint_quickly(layer: Labels) -> None:
    """Keep napari from reading a whole slice with every dab of the brush.

    It reads one to learn whether the class fits the type of the labels; a single pixel
    of that type tells the same.
    """
    pixel = SimpleNamespace(data=np.zeros(1, layer.data.dtype))
    check = type(layer)._validate_label_in_range
    layer._validate_label_in_range = lambda label: check(pixel, label)


def another_hue(colour: str) -> str:
    """Return a bright colour unlike this one, as ``#rrggbb``."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
    bright = colorsys.hls_to_rgb((hue + _TURN) % 1, _BRIGHT, saturation)
    return "#" + "".join(f"{round(255 * value):02x}" for value in bright)


class ImageLayers(OverImage):
    """What is shown over one image that is segmented.

    Attributes
    ----------
    strokes, prediction, masks : Labels, optional
        None where not shown, or deleted by the user.
    first, second, differing : Labels, optional
        What two networks say that are compared, and where it is not the same.
    probability : Image, optional
        That of one class.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        workbench: Workbench,
        layer: Image,
        image: ProjectImage,
    ) -> None:
        super().__init__(viewer, workbench, layer, image)
        self.strokes: Labels | None = None
        self.prediction: Labels | None = None
        self.probability: Image | None = None
        self.masks: Labels | None = None
        self.first: Labels | None = None
        self.second: Labels | None = None
        self.differing: Labels | None = None

    def show(self, classes: tuple[ClassInfo, ...]) -> None:
        """Show strokes, prediction and masks, those that are not there already."""
        if self.prediction is None:
            self.prediction = self._add_labels("prediction", editable=False)
            self.prediction.opacity = _OPACITY
        if self.strokes is None:
            self.strokes = self._add_labels("strokes")
            self.strokes.events.paint.connect(self._on_paint)
            paint_quickly(self.strokes)
            self.strokes.undo = lambda: self._step(self.workbench.undo)
            self.strokes.redo = lambda: self._step(self.workbench.redo)
            self.strokes.brush_size = _BRUSH
        project = self.workbench.project
        there = project and self.image.prediction_path(project.folder, "masks").is_dir()
        if self.masks is None and there:
            self.masks = self._add_labels("masks", editable=False)
            self.masks.visible = False
        self.show_classes(classes)
        self.viewer.layers.selection.active = self.strokes

    def show_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        """Give the layers the colours of the classes."""
        nothing: Colours = {None: "transparent", 0: "transparent"}
        painted: Colours = {c.value: c.colour for c in classes}
        shown: Colours = {c.output: c.colour for c in classes if not c.background}
        others: Colours = {
            c.output: another_hue(c.colour) for c in classes if not c.background
        }
        different: Colours = {1: _DIFFERENT}
        for layer, colours in (
            (self.strokes, painted),
            (self.prediction, shown),
            (self.masks, shown),
            (self.first, shown),
            (self.second, others),
            (self.differing, different),
        ):
            if layer is not None:
                layer.colormap = DirectLabelColormap(color_dict={**colours, **nothing})

    def show_probability(self, title: str = "probability") -> None:
        """Show the probability of a class, if it is not shown already."""
        if self.probability is not None:
            self.probability.name = self._title(title)
            return
        data = self._store("probability")
        self.probability = Image(
            data,
            name=self._title(title),
            colormap="magma",
            contrast_limits=(0, 1),
            # additive would show nothing on a bright image
            blending="translucent_no_depth",
            opacity=_VEIL,
            **placement(self.layer, data.ndim),
        )
        self._insert_below_strokes(self.probability)

    def show_new_masks(self, classes: tuple[ClassInfo, ...]) -> None:
        """Show the masks that are on disk now in place of the live prediction."""
        self.remove("masks")
        self.masks = self._add_labels("masks", editable=False)
        self.show_classes(classes)
        if self.prediction is not None:
            self.prediction.visible = False

    def show_comparison(
        self, classes: tuple[ClassInfo, ...], titles: tuple[str, str]
    ) -> None:
        """Show what two networks say: the first filled, the second as outlines.

        The outlines have another hue for each class, and a layer above the two shows
        where they differ.
        """
        self.remove(*_COMPARED)
        self.first = self._add_labels("first", editable=False)
        self.second = self._add_labels("second", editable=False)
        differing = Differing(self._store("first"), self._store("second"))
        self.differing = self._add_labels("differing", differing, editable=False)
        self.first.opacity, self.second.contour = _FAINT, _OUTLINE
        self.differing.opacity = 1
        for layer, title in zip((self.first, self.second), titles, strict=True):
            layer.name = self._title(title)
        self.show_classes(classes)
        if self.prediction is not None:
            self.prediction.visible = False

    def end_comparison(self) -> None:
        """Take away what two networks say, and show the prediction again."""
        if self._compares():
            self.remove(*_COMPARED)
            self._show_prediction()

    def _compares(self) -> bool:
        return any(getattr(self, name) is not None for name in _COMPARED)

    def _show_prediction(self) -> None:
        if self.prediction is not None:
            self.prediction.visible = True

    def refresh(self, names: set[str]) -> None:
        """Draw some of the layers anew, since what they show has changed."""
        for name in names:
            layer = getattr(self, name)
            if layer is not None and layer.visible:
                layer.refresh(thumbnail=False, extent=False, highlight=False)

    def all(self) -> list[Layer]:
        """Return all layers that are there."""
        ours = (getattr(self, name) for name in _OURS)
        return [layer for layer in ours if layer is not None]

    def forget(self, layer: Layer) -> bool:
        """Forget a layer that the user has deleted; what it showed stays on disk.

        Returns
        -------
        bool
            Whether it was one of these.
        """
        for name in _OURS:
            if getattr(self, name) is layer:
                setattr(self, name, None)
                if name in _COMPARED and not self._compares():
                    self._show_prediction()
                return True
        return False

    def remove(self, *names: str) -> None:
        """Take layers out of the viewer; all of them by default."""
        for name in names or _OURS:
            layer = getattr(self, name)
            setattr(self, name, None)
            if layer is not None:
                self._remove(layer)

    def _store(self, name: str) -> Any:
        """Return what a layer shows."""
        what, key = _STORES[name], self.image.key
        labels = what == "labels"
        book = self.workbench
        return self._aligned(book.labels(key) if labels else book.prediction(key, what))

    def _add_labels(
        self, name: str, data: Any = None, *, editable: bool = True
    ) -> Labels:
        data = self._store(name) if data is None else data
        place = placement(self.layer, data.ndim)
        layer = Labels(data, name=self._title(name), **place)
        layer.editable = editable
        self._insert_below_strokes(layer)
        return layer

    def _insert_below_strokes(self, layer: Labels | Image) -> None:
        """Add a layer so that the strokes stay on top, and in the user's hand."""
        layers = self.viewer.layers
        if self.strokes is None or self.strokes not in layers:
            layers.append(layer)
            return
        layers.insert(layers.index(self.strokes), layer)
        layers.selection.active = self.strokes

    def _step(self, step: Callable[[str], list[Region]]) -> None:
        """Undo or redo, and go where that was; napari's own forgets on closing."""
        try:
            regions = step(self.image.key)
        except UserError as error:
            self.workbench.said.emit(str(error))
            return
        if self.strokes is not None and regions:
            region = list(regions[0])
            if self.skip is not None:
                region.insert(self.skip, slice(None))
            go_to(self.viewer, self.strokes, tuple(region))
            self.refresh({"strokes"})

    def _on_paint(self) -> None:
        self.workbench.keep_stroke(self.image.key)
        if self.strokes is not None and self.skip is not None:
            offset = self.viewer.dims.ndim - self.strokes.ndim
            if self.skip + offset in self.viewer.dims.displayed:
                self.strokes.refresh()  # what was painted on one channel is on all
