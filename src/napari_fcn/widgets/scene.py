"""The image that is worked on, its layers, and what of it is on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from napari.layers import Image, Labels
from psygnal import Signal

from napari_fcn.errors import UserError
from napari_fcn.project.image import AxesRecord
from napari_fcn.widgets import adopt
from napari_fcn.widgets.image_layers import ImageLayers
from napari_fcn.widgets.placement import PLACED
from napari_fcn.widgets.reading import axes_of, path_of, pixels_of, with_file
from napari_fcn.widgets.target_layers import TargetLayers, whole_layers
from napari_fcn.widgets.thumbnail import keep_thumbnail
from napari_fcn.widgets.view import visible
from napari_fcn.workbench.protocol import UNCERTAINTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_fcn.config import ClassInfo
    from napari_fcn.data.axes import Axes
    from napari_fcn.project import ProjectImage
    from napari_fcn.widgets.view import Visible
    from napari_fcn.workbench import protocol
    from napari_fcn.workbench.session import Workbench

_LOOK_EVERY = 3
_REFRESH_EVERY = 6
_NO_IMAGE = "Choose the image first, and press Start labelling."
_FOLLOWED = (*PLACED, "name")


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
    layer : Image, optional
        The user's layer that shows it.
    opened : Signal
        An image is worked on, this one or another.
    changed : Signal
        The name or the place of the image, its layers or the classes have changed.
    """

    opened = Signal()
    changed = Signal()

    def __init__(self, viewer: ViewerModel, workbench: Workbench) -> None:
        self.viewer = viewer
        self.workbench = workbench
        self.image: ProjectImage | None = None
        self.layer: Image | None = None
        self._layers: ImageLayers | None = None
        self.targets: TargetLayers | None = None
        self._images: dict[Any, ProjectImage] = {}
        self._probability_class: int | None = None
        self._ticks = 0
        self._wholes: list[Image] = []
        self._stale: set[str] = set()
        workbench.shown.connect(self._on_shown)
        workbench.job_finished.connect(self._on_job_finished)
        workbench.project_changed.connect(self._on_project)
        workbench.task_changed.connect(self._on_task)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def strokes(self) -> Labels | None:
        """The layer that is painted on; None if it is not there."""
        return self._layers.strokes if self._layers is not None else None

    @property
    def prediction(self) -> Labels | None:
        """The live prediction."""
        return self._layers.prediction if self._layers is not None else None

    @property
    def probability(self) -> Image | None:
        """The probability of a class."""
        return self._layers.probability if self._layers is not None else None

    @property
    def masks(self) -> Labels | None:
        """What was predicted of the whole image."""
        return self._layers.masks if self._layers is not None else None

    def work_on(self, layer: Image, names: str) -> ProjectImage:
        """Take the image of a layer into the project and show its labels.

        Where it is worked on already, layers that were deleted come back.

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
        image = self._take_in(layer, with_file(layer, axes_of(layer, names)))
        if layer is not self.layer or self.image is None or image.key != self.image.key:
            self._leave()
            self.layer = layer
            self._layers = ImageLayers(self.viewer, self.workbench, layer, image)
            self.targets = TargetLayers(self.viewer, self.workbench, layer, image)
            for name in _FOLLOWED:
                getattr(layer.events, name).connect(self._on_moved)
        self.image = image
        self._require_layers().follow(image)
        if self.targets is not None:
            self.targets.follow(image)
        self._show_layers()
        project = self.workbench.project
        if project is not None:
            keep_thumbnail(project, image, pixels_of(layer))
        self.opened.emit()
        return image

    @property
    def surface(self) -> Layer | None:
        """One of our layers of the size of the labels; None if all were deleted."""
        if self.workbench.task == "segmentation":
            return self.strokes
        return self.targets.surface if self.targets is not None else None

    @property
    def is_shown(self) -> bool:
        """Whether the user has left one of our layers of the task in the viewer."""
        if self.workbench.task == "segmentation":
            return self.strokes in self.viewer.layers
        if self.workbench.task == "density":
            return self.targets is not None and self.targets.dots in self.viewer.layers
        ours = self.targets.all() if self.targets is not None else []
        return any(layer in self.viewer.layers for layer in ours)

    @property
    def overlays(self) -> list[Layer]:
        """The layers that show what is predicted of what is on the screen."""
        if self.workbench.task == "segmentation":
            return [self.prediction] if self.prediction is not None else []
        return list(self.targets.predictions.values()) if self.targets else []

    @property
    def deviations(self) -> list[Layer]:
        """The layers that show by how much predicted images may be off."""
        return self.targets.deviations.all() if self.targets else []

    def where(self) -> Visible | None:
        """Return what of the image is on the screen; None if nothing can be told."""
        project, surface = self.workbench.project, self.surface
        if self.image is None or project is None or surface is None:
            return None
        if surface not in self.viewer.layers or self.layer not in self.viewer.layers:
            return None
        ndim = project.record.network.ndim
        return visible(self.viewer, surface, self.image.label_axes, ndim, self.skip)

    def _show_layers(self) -> None:
        """Show the layers of the task, and take away those of another one."""
        layers, image = self._require_layers(), self.image
        assert self.targets is not None
        assert image is not None
        if self.workbench.task != "segmentation":
            layers.remove()
            self.targets.show(self.workbench.task, self._classes())
            return
        self.targets.remove()
        layers.show(self._classes())
        if self._probability_class is not None:
            layers.show_probability(_title_of(self._probability_class))
        self._adopt_marked_strokes(image)

    @property
    def skip(self) -> int | None:
        """Where layers have a channel axis that the labels do not have."""
        return self._layers.skip if self._layers is not None else None

    def classes(self) -> tuple[ClassInfo, ...]:
        """Return the classes of the project; none before there is one."""
        return self._classes()

    def note(self, image: ProjectImage) -> None:
        """Take over what has changed in the project about the image worked on."""
        if self.layer is not None and self._layers is not None:
            self.image = self._layers.image = image
            self._images[self.layer.unique_id] = image

    def introduce(self, layer: Image, image: ProjectImage) -> None:
        """Tell that a layer shows this image of the project."""
        self._images[layer.unique_id] = image

    def layer_of(self, key: str) -> Image | None:
        """Return the layer that shows an image of the project, if there is one."""
        for layer in self.viewer.layers:
            image = self._images.get(layer.unique_id)
            if image is not None and image.key == key:
                return layer
        return None

    def axes_of(self, layer: Image) -> Axes | None:
        """Return what is known of the axes of a layer that was worked on."""
        image = self._images.get(layer.unique_id)
        return image.axes.axes() if image is not None else None

    def names_of(self, layer: Image) -> str:
        """Return what the axes of a layer were said to be; empty if not yet."""
        axes = self.axes_of(layer)
        return axes.names.removesuffix("S") if axes is not None else ""

    def is_complete(self, layer: Image) -> bool:
        """Tell whether a layer is worked on, with all that belongs to it in view."""
        return (
            layer is self.layer
            and self.image is not None
            and self.surface is not None
            and bool(self.overlays)
            and not self._is_missing(self.image)
        )

    def adopt(self, labels: Labels, *, dense: bool = False) -> None:
        """Take what is painted in another Labels layer over as strokes.

        Classes that the project does not have yet are added to it.

        Parameters
        ----------
        labels : Labels
            The layer.
        dense : bool
            Whether 0 in it is background, in place of not annotated.

        Raises
        ------
        UserError
            If its shape or its numbers do not fit.
        """
        if self.strokes is None or self.image is None:
            raise UserError(_NO_IMAGE)
        store = self.workbench.labels(self.image.key)
        if dense:
            background = next((c.value for c in self._classes() if c.background), 1)
            first = next((c.value for c in self._classes() if not c.background), 2)
            values = adopt.take_mask(labels, self.image, store, background, first)
        else:
            values = adopt.take_strokes(labels, self.image, store)
        names: Mapping[int, str] = labels.metadata.get(adopt.NAMES, {})
        before = self._classes()
        classes = adopt.extend_classes(before, values, names)
        if classes != before:
            self.workbench.set_classes(classes)
            self.show_classes(classes)
        self.workbench.flush()
        self.strokes.refresh()
        labels.visible = False
        self.changed.emit()

    def show_classes(self, classes: tuple[ClassInfo, ...]) -> None:
        """Give all layers the colours of the classes."""
        if self._layers is not None:
            self._layers.show_classes(classes)
        if self.targets is not None and self.workbench.task != "segmentation":
            self.targets.show_predictions(classes)

    def show_probability(self, value: int | None) -> None:
        """Show the probability of a class as an image; None shows none."""
        self._probability_class = value
        if self._layers is not None and value is None:
            self._layers.remove("probability")
        elif self._layers is not None:
            self._layers.show_probability(_title_of(value))
        self.look()

    def show_comparison(self, titles: tuple[str, str]) -> None:
        """Show what two networks say of the image, one filled, one as outlines."""
        self._require_layers().show_comparison(self._classes(), titles)

    def end_comparison(self) -> None:
        """Show the prediction in place of what two networks say."""
        if self._layers is not None:
            self._layers.end_comparison()

    def look(self) -> None:
        """Tell the engine what is on the screen."""
        now = self.where()
        if now is None or self.image is None:
            return
        self.workbench.look(self.image, now.sample, now.region, self._probability_class)

    def tick(self) -> None:
        """Follow the camera and redraw what has changed; called many times a second."""
        self._ticks += 1
        if self._ticks % _LOOK_EVERY == 0:
            self.look()
        if self._ticks % _REFRESH_EVERY == 0 and self._layers is not None:
            self._layers.refresh(self._stale)
            if self._stale and self.targets is not None:
                self.targets.refresh()
            self._stale.clear()

    # The image

    def _take_in(self, layer: Image, axes: Axes) -> ProjectImage:
        """Find the image of a layer in the project, or add it."""
        pixels = pixels_of(layer)
        image = self._images.get(layer.unique_id)
        if (
            image is None
            or image.shape != tuple(pixels.shape)
            or image.axes.axes().channel != axes.channel
            or self._is_missing(image)
        ):
            image = self.workbench.add_image(pixels, axes, layer.name, path_of(layer))
        return self._note(layer, image, axes)

    def _is_missing(self, image: ProjectImage) -> bool:
        """Tell whether the copy of an image was given up."""
        project = self.workbench.project
        if project is None or Path(image.path).is_absolute():
            return False
        copying = self.workbench.status.job == "copy"
        return not copying and not (project.folder / image.path).exists()

    def _note(self, layer: Image, image: ProjectImage, axes: Axes) -> ProjectImage:
        """Write down what the user's layer says of an image, if that has changed."""
        facts = {"name": layer.name, "axes": AxesRecord.of(axes)}
        noted = image.model_copy(update=facts)
        project = self.workbench.project
        if noted != image and project is not None:
            project.replace_image(noted)
        self._images[layer.unique_id] = noted
        return noted

    def _on_moved(self, _event: object = None) -> None:
        """Follow the user's layer when it is moved, scaled or renamed."""
        if self.layer is None or self.image is None or self._layers is None:
            return
        try:
            axes = axes_of(self.layer, self.names_of(self.layer))
            axes = with_file(self.layer, axes)
            self.image = self._note(self.layer, self.image, axes)
        except UserError as error:
            self.workbench.said.emit(str(error))
        self._layers.follow(self.image)
        if self.targets is not None:
            self.targets.follow(self.image)
        self.changed.emit()

    def _leave(self) -> None:
        """Take away the layers of the image that was worked on so far."""
        if self.layer is not None:
            for name in _FOLLOWED:
                getattr(self.layer.events, name).disconnect(self._on_moved)
        if self._layers is not None:
            self._layers.remove()
        if self.targets is not None:
            self.targets.remove()
        self.image = self.layer = self._layers = self.targets = None

    def _require_layers(self) -> ImageLayers:
        if self._layers is None:
            raise UserError(_NO_IMAGE)
        return self._layers

    def _on_project(self, _project: object) -> None:
        self._leave()
        self._images.clear()

    def _on_task(self, _task: str) -> None:
        if self.image is not None and self.layer in self.viewer.layers:
            self._show_layers()
            self.opened.emit()
            self.look()

    def _classes(self) -> tuple[ClassInfo, ...]:
        project = self.workbench.project
        return project.record.classes if project is not None else ()

    def _adopt_marked_strokes(self, image: ProjectImage) -> None:
        """Take over sample strokes that were opened with their image."""
        for other in list(self.viewer.layers):
            if (
                isinstance(other, Labels)
                and adopt.is_marked(other)
                and adopt.fits(other, image)
            ):
                self.adopt(other)
                self.viewer.layers.remove(other)

    # What happens

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
        if event.path != self.workbench.whole(self.image):
            return
        if self.workbench.task != "segmentation":
            self._show_whole(event.path)
        elif self._layers is not None:
            self._layers.show_new_masks(self._classes())

    def _show_whole(self, path: Path) -> None:
        """Show densities or images of the whole image in place of the live ones."""
        if self.layer is None or self.targets is None:
            return
        for layer in self.wholes:
            self.viewer.layers.remove(layer)
        array = zarr.open_array(str(path), mode="r")
        live = list(self.targets.predictions.values())
        axis = 0 if len(live) > 1 else None
        self._wholes = whole_layers(array, axis, live, self.layer)
        for layer in self._wholes:
            self.viewer.layers.insert(self.viewer.layers.index(self.layer) + 1, layer)
        for layer in live:
            layer.visible = False

    @property
    def wholes(self) -> list[Image]:
        """What was predicted of whole images for other tasks than segmentation."""
        return [x for x in self._wholes if x in self.viewer.layers]

    def _on_removed(self, event: Any) -> None:
        """Forget a layer that the user has deleted; what it showed stays on disk."""
        if self._layers is not None and self._layers.forget(event.value):
            self.changed.emit()
        if self.targets is not None and self.targets.forget(event.value):
            self.changed.emit()
        if event.value is self.layer:
            self.workbench.look_away()


def _title_of(value: int | None) -> str:
    return "unsure" if value == UNCERTAINTY else "probability"


def only_images(viewer: ViewerModel, scene: Scene) -> list[Image]:
    """Return the Image layers that one may work on."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Image)]
    ours = [scene.probability, *scene.overlays, *scene.wholes, *scene.deviations]
    return [layer for layer in layers if not any(layer is x for x in ours)]
