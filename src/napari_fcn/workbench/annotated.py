"""Opening images with what they are annotated with, for each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fcn.config import ClassInfo, classes_from_values, default_colour
from napari_fcn.data.dot_files import read_boxes, read_dots
from napari_fcn.data.dots import DottedImage
from napari_fcn.data.pairs import PairedImage
from napari_fcn.errors import UserError
from napari_fcn.workbench.opening import (
    check_pairs,
    open_labelled,
    open_source,
    pair_masks,
    read_labels,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fcn.data.dots import CountedBox
    from napari_fcn.data.source import ImageSource

_LABELS = {
    "segmentation": "labels",
    "density": "dots",
    "regression": "target",
}


@dataclass(frozen=True)
class AnnotationFiles:
    """The files that belong to images, each list in their order or empty.

    Attributes
    ----------
    labels : list of Path
        Strokes or masks; dots; or target images.
    regions : list of Path
        Images that are not 0 where dots or targets are complete.
    boxes : list of Path
        CSV files with counted boxes.
    masks : list of Path
        One more channel for each image.
    dense : bool
        Whether 0 in labels is background.
    """

    labels: list[Path]
    regions: list[Path]
    boxes: list[Path]
    masks: list[Path]
    dense: bool = False

    def all(self) -> list[Path]:
        """Return every file."""
        return [*self.labels, *self.regions, *self.boxes, *self.masks]


def open_annotated(
    task: str,
    images: Sequence[Path],
    files: AnnotationFiles,
    *,
    ndim: int,
    axes: str | None = None,
) -> tuple[list[Any], tuple[ClassInfo, ...]]:
    """Open images for a task, with the annotation that it learns from.

    Parameters
    ----------
    task : str
        ``segmentation``, ``density`` or ``regression``.
    images : sequence of Path
        The images.
    files : AnnotationFiles
        What belongs to them.
    ndim : {2, 3}
        Spatial axes of the network.
    axes : str, optional
        Of the images, in place of what their files say.

    Returns
    -------
    items : list
        Of the task's kind; see `napari_fcn.engine.tasks.TASKS`.
    classes : tuple of ClassInfo
        What is told apart; empty for regression.

    Raises
    ------
    UserError
        If files are missing, do not pair up or do not fit.
    """
    if task != "regression" and not files.labels:
        raise UserError(
            f"There are no {_LABELS[task]}; name their files with --labels."
        )
    if files.boxes and task != "density":
        raise UserError(
            "Boxes with counts are for --task density only; leave them out."
        )
    if files.regions and task == "segmentation":
        raise UserError(
            "Regions are for --task density and regression; paint classes as labels."
        )
    if task == "segmentation":
        return open_labelled(
            images,
            files.labels,
            ndim=ndim,
            dense=files.dense,
            axes=axes,
            masks=files.masks,
        )
    for given, what in (
        (files.labels, _LABELS[task]),
        (files.regions, "regions"),
        (files.boxes, "boxes"),
    ):
        if given:
            check_pairs(images, given, what)
    masks = pair_masks(files.masks, images)
    sources = [
        open_source(path, ndim, axes, mask)
        for path, mask in zip(images, masks, strict=True)
    ]
    if task == "density":
        items = [_dotted(source, files, n) for n, source in enumerate(sources)]
        return items, _classes(items)
    return [_paired(s, files, n, axes) for n, s in enumerate(sources)], ()


def _dotted(source: ImageSource, files: AnnotationFiles, number: int) -> DottedImage:
    boxes: tuple[CountedBox, ...] = ()
    if files.boxes:
        boxes = read_boxes(files.boxes[number], source)
    return DottedImage(
        source,
        read_dots(files.labels[number], source),
        _regions(source, files, number),
        boxes,
    )


def _paired(
    source: ImageSource, files: AnnotationFiles, number: int, axes: str | None
) -> PairedImage:
    target = None
    if files.labels:
        # The target may have other channels; then its own file says what they are.
        path = files.labels[number]
        target = open_source(path, source.ndim)
        same = target.sample_shape + target.spatial_shape
        if axes and same != source.sample_shape + source.spatial_shape:
            target = open_source(path, source.ndim, axes)
    return PairedImage(source, target, _regions(source, files, number))


def _regions(source: ImageSource, files: AnnotationFiles, number: int) -> Any:
    return read_labels(files.regions[number], source) if files.regions else None


def _classes(items: Sequence[DottedImage]) -> tuple[ClassInfo, ...]:
    """Name the classes of dots; a single one is "object"."""
    values = {int(v) for item in items for v in item.dots.values}
    if len(values) != 1:
        return classes_from_values(values, background=None)
    value = values.pop()
    return (ClassInfo(value=value, name="object", colour=default_colour(value)),)
