"""The layers of the image that is worked on: strokes, prediction, probability, masks.

The layers show the project's stores; nothing is held here that is not on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_fcn.errors import UserError
from napari_fcn.widgets.broadcast import ChannelBroadcast
from napari_fcn.widgets.reading import axes_of, path_of, pixels_of
from napari_fcn.widgets.view import visible

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_fcn.config import ClassInfo
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench import protocol
    from napari_fcn.workbench.session import Workbench

STROKES = "strokes"
"""Key in the metadata of a Labels layer whose content is meant as strokes."""

_LOOK_EVERY = 3
_REFRESH_EVERY = 6
_OVERLAY_OPACITY = 0.45


class Scene:
    """What is shown of the image that is worked on.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    workbench : Workbench
        Whose project holds the image.

    Attributes
    ----------
    image : ProjectImage, optional
        What is worked on.
    strokes, prediction, probability, masks : Labels or Image, optional
        Its layers.
    """

    def __init__(self, viewer: ViewerModel, workbench: Workbench) -> None:
        self.viewer = viewer
        self.workbench = workbench
        self.image: ProjectImage | None = None
        self.layer: Image | None = None
        self.strokes: Labels | None = None
        self.prediction: Labels | None = None
        self.probability: Image | None = None
        self.masks: Labels | None = None
        self._images: dict[Any, ProjectImage] = {}
        self._probability_class: int | None = None
        self._ticks = 0
        self._stale: set[str] = set()
        workbench.shown.connect(self._on_shown)
        workbench.job_finished.connect(self._on_job_finished)
        viewer.layers.events.removed.connect(self._on_removed)

    def work_on(self, layer: Image, names: str) -> ProjectImage:
        """Take the image of a layer into the project and show its labels.

        Parameters
        ----------
        layer : Image
            The layer.
        names : str
            One letter per axis of the layer.

        Raises
        ------
        UserError
            If it cannot be worked on.
        """
        if layer is self.layer and self.strokes in self.viewer.layers:
            return self._require_image()
        axes = axes_of(layer, names)
        image = self._images.get(layer.unique_id)
        if image is None or image.axes.names != axes.names:
            image = self.workbench.add_image(
                pixels_of(layer), axes, layer.name, path_of(layer)
            )
            self._images[layer.unique_id] = image
        self._remove_layers()
        self.image, self.layer = image, layer
        self.prediction = self._add_labels("live", f"{layer.name} – prediction")
        self.prediction.editable = False
        self.prediction.opacity = _OVERLAY_OPACITY
        self.strokes = self._add_labels("labels", f"{layer.name} – strokes")
        self.strokes.events.paint.connect(self._on_paint)
        self.strokes.brush_size = 6
        self.show_classes(self._classes())
        self.viewer.layers.selection.active = self.strokes
        self._adopt_marked_strokes(layer)
        return image

    def adopt(self, labels: Labels) -> None:
        """Take what is painted in another Labels layer over as strokes.

        Raises
        ------
        UserError
            If its shape does not fit.
        """
        if self.strokes is None or self.image is None:
            raise UserError("Choose the image first, and press Start labelling.")
        data = labels.data[0] if labels.multiscale else labels.data
        store = self.workbench.labels(self.image.key)
        if tuple(data.shape) != store.shape:
            raise UserError(
                f"{labels.name} has shape {tuple(data.shape)} but the labels of "
                f"{self.image.name} need {store.shape}; choose another layer."
            )
        values = np.asarray(data)
        if int(values.max(initial=0)) > np.iinfo(store.dtype).max or values.min() < 0:
            raise UserError(
                f"{labels.name} holds numbers beyond 0 to 255; give every object of a "
                "class the same number first."
            )
        store[...] = np.where(values > 0, values, store[...])
        self.workbench.flush()
        self.strokes.refresh()
        labels.visible = False

    def show_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        """Give all layers the colours of the classes."""
        colours: dict[int | None, Any] = {c.value: c.colour for c in classes}
        strokes = DirectLabelColormap(
            color_dict={**colours, None: "transparent", 0: "transparent"}
        )
        shown: dict[int | None, Any] = {
            c.output: c.colour for c in classes if not c.background
        }
        overlay = DirectLabelColormap(
            color_dict={**shown, None: "transparent", 0: "transparent"}
        )
        for layer, colormap in (
            (self.strokes, strokes),
            (self.prediction, overlay),
            (self.masks, overlay),
        ):
            if layer is not None:
                layer.colormap = colormap

    def show_probability(self, value: int | None) -> None:
        """Show the probability of a class as an image; None shows none."""
        self._probability_class = value
        if value is None:
            self._remove("probability")
        elif self.probability is None and self.image is not None:
            self.probability = self._add_probability()
        self.look()

    def look(self) -> None:
        """Tell the engine what is on the screen."""
        if self.image is None or self.strokes not in self.viewer.layers:
            return
        project = self.workbench.project
        if project is None:
            return
        now = visible(
            self.viewer,
            self.strokes,
            self.image.label_axes,
            project.record.network.ndim,
            self._skip(),
        )
        self.workbench.look(self.image, now.sample, now.region, self._probability_class)

    def tick(self) -> None:
        """Follow the camera and redraw what has changed; called many times a second."""
        self._ticks += 1
        if self._ticks % _LOOK_EVERY == 0:
            self.look()
        if self._ticks % _REFRESH_EVERY == 0:
            self._redraw()

    def _redraw(self) -> None:
        for name in self._stale:
            layer = getattr(self, name)
            if layer is not None and layer.visible:
                layer.refresh(thumbnail=False, extent=False, highlight=False)
        self._stale.clear()

    def _require_image(self) -> ProjectImage:
        if self.image is None:
            raise UserError("Choose the image first, and press Start labelling.")
        return self.image

    def _classes(self) -> tuple[ClassInfo, ...]:
        project = self.workbench.project
        return project.record.classes if project is not None else ()

    def _skip(self) -> int | None:
        """Return where a channel axis must be shown that the labels do not have."""
        if self.layer is None or self.layer.rgb or self.image is None:
            return None
        channel = self.image.axes.axes().channel
        return channel if channel else None  # a leading one aligns by itself

    def _aligned(self, store: Any) -> Any:
        skip = self._skip()
        if skip is None or self.image is None:
            return store
        return ChannelBroadcast(store, skip, self.image.shape[skip])

    def _placement(self) -> dict[str, Any]:
        """Return scale, translate and units of the layer, for those shown over it."""
        layer = self.layer
        assert layer is not None
        ndim = len(
            self._aligned(self.workbench.labels(self._require_image().key)).shape
        )
        return {
            "scale": layer.scale[-ndim:],
            "translate": layer.translate[-ndim:],
            "units": layer.units[-ndim:],
        }

    def _add_labels(self, what: str, name: str) -> Labels:
        key = self._require_image().key
        book = self.workbench
        store = book.labels(key) if what == "labels" else book.prediction(key, what)
        layer = Labels(self._aligned(store), name=name, **self._placement())
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

    def _add_probability(self) -> Image:
        key = self._require_image().key
        store = self._aligned(self.workbench.prediction(key, "probability"))
        layer = Image(
            store,
            name=f"{self._require_image().name} – probability",
            colormap="magma",
            contrast_limits=(0, 1),
            blending="additive",
            **self._placement(),
        )
        self._insert_below_strokes(layer)
        return layer

    def _remove_layers(self) -> None:
        for name in ("strokes", "prediction", "probability", "masks"):
            self._remove(name)

    def _remove(self, name: str) -> None:
        layer = getattr(self, name)
        setattr(self, name, None)
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def _adopt_marked_strokes(self, layer: Image) -> None:
        """Take over sample strokes that were opened with their image."""
        for other in list(self.viewer.layers):
            if (
                isinstance(other, Labels)
                and other.metadata.get("napari_fcn") == STROKES
                and tuple(other.data.shape) == self._require_image().label_shape
            ):
                self.adopt(other)
                self.viewer.layers.remove(other)

    def _on_paint(self) -> None:
        self.workbench.flush()

    def _on_shown(self, event: protocol.Shown) -> None:
        if self.image is None or event.key != self.image.key:
            return
        self._stale.add("prediction")
        if event.probability:
            self._stale.add("probability")

    def _on_job_finished(self, event: protocol.JobFinished) -> None:
        project = self.workbench.project
        if event.reason != "done" or self.image is None or project is None:
            return
        if event.path != self.image.prediction_path(project.folder, "masks"):
            return
        self._remove("masks")
        self.masks = self._add_labels("masks", f"{self.image.name} – masks")
        self.masks.editable = False
        if self.prediction is not None:
            self.masks.opacity = self.prediction.opacity
        self.show_classes(self._classes())
        if self.prediction is not None:
            self.prediction.visible = False

    def _on_removed(self, event: Any) -> None:
        """Forget a layer that the user has deleted; what it showed stays on disk."""
        for name in ("strokes", "prediction", "probability", "masks"):
            if getattr(self, name) is event.value:
                setattr(self, name, None)
        if event.value is self.layer:
            self.workbench.look_away()


def only_images(viewer: ViewerModel, scene: Scene) -> list[Image]:
    """Return the Image layers that one may work on."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return [layer for layer in layers if layer is not scene.probability]
