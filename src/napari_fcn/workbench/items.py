"""What a task learns from: the labels, dots or targets of a project's images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.areas import box_of, draw_areas
from napari_fcn.data.dots import CountedBox, Dots, DottedImage
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.stacked import StackedImages
from napari_fcn.errors import UserError
from napari_fcn.project.targets import read_targets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo, Task
    from napari_fcn.data.source import ImageSource
    from napari_fcn.project import ProjectImage
    from napari_fcn.project.targets import Area, Targets

    Item = LabelledImage | DottedImage | PairedImage


def item_of(
    project: Path, image: ProjectImage, ndim: int, task: Task, *, blind: bool = False
) -> Item:
    """Open an image with what a task learns from.

    Parameters
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        The image.
    ndim : {2, 3}
        Spatial axes of the network.
    task : str
        What is learned.
    blind : bool
        Whether target images are left out, as for noise2void.

    Raises
    ------
    UserError
        If something cannot be opened or does not fit.
    """
    source = image.source(project, ndim)
    if task == "density":
        return _dotted(source, read_targets(project, image.key), image)
    if task == "regression":
        return _paired(source, project, image, blind)
    labels = image.labels(project, writable=False)
    return LabelledImage(source, labels, image.dense, image.testing_regions)


def dots_of(targets: Targets, n_axes: int) -> Dots:
    """Return the dots of an image's record, along the axes of its labels."""
    places = np.array([d.place for d in targets.dots], np.float64)
    return Dots.of(places.reshape(-1, n_axes), [d.value for d in targets.dots])


def has_something(targets: Targets, task: Task, *, blind: bool = False) -> bool:
    """Tell whether an image's record holds something that a task learns from.

    Counting learns from dots, from areas (one without dots is empty) and from boxes
    with a count.
    """
    if task == "density":
        counted = any(box.counts for box in targets.boxes)
        return bool(targets.dots or targets.dotted or counted)
    return blind or bool(targets.targets)


def dotted_classes(
    items: Sequence[Any], classes: Sequence[ClassInfo]
) -> tuple[ClassInfo, ...]:
    """Return the classes of which there is a dot that is learned from."""
    found: set[int] = set()
    for item in items:
        regions = item.annotated()
        shape = np.array(regions.shape)
        nearest = np.rint(item.dots.places).astype(int)
        inside = ((nearest >= 0) & (nearest < shape)).all(1)
        seen = np.zeros(len(nearest), bool)
        seen[inside] = regions[tuple(nearest[inside].T)] > 0
        for box in item.testing:
            low, high = ([getattr(s, end) for s in box] for end in ("start", "stop"))
            seen &= ~((nearest >= low) & (nearest < high)).all(1)
        found |= {int(v) for v in item.dots.values[seen]}
    return tuple(c for c in classes if c.value in found)


def _dotted(source: ImageSource, targets: Targets, image: ProjectImage) -> DottedImage:
    dots = dots_of(targets, len(source.label_shape))
    boxes = []
    for box in targets.boxes:
        axes, shape = source.label_axes, source.label_shape
        where = box_of(box.corners, axes, shape, source.ndim)
        if where is not None and box.counts:
            boxes.append(CountedBox(*where, box.counts))
    regions = _mask(targets.dotted, source)
    if regions is None and not len(dots):
        regions = np.broadcast_to(np.uint8(0), source.label_shape)
    return DottedImage(source, dots, regions, tuple(boxes), image.testing_regions)


def _paired(
    source: ImageSource, project: Path, image: ProjectImage, blind: bool
) -> PairedImage:
    targets = read_targets(project, image.key)
    regions, testing = _mask(targets.trusted, source), image.testing_regions
    if blind:
        return PairedImage(source, None, regions, testing)
    if not targets.targets:
        raise UserError(
            f"There is no target for {source.name}; choose one, or take the loss "
            "noise2void, which removes noise without one."
        )
    opened = [t.source(project, source.ndim) for t in targets.targets]
    target: Any = opened[0] if len(opened) == 1 else StackedImages(opened)
    return PairedImage(source, target, regions, testing)


def _mask(areas: Sequence[Area], source: ImageSource) -> NDArray[np.uint8] | None:
    """Draw areas; None if there are none, which means everywhere."""
    if not areas:
        return None
    drawn = [(a.form, a.corners) for a in areas]
    return draw_areas(drawn, source.label_axes, source.label_shape, source.ndim)
