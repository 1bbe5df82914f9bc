"""The Python interface: arrays in, arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage, find_values
from napari_fcn.data.axes import Axes, default_axes
from napari_fcn.data.dots import CountedBox, Dots, DottedImage
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.train import Budget
from napari_fcn.engine.train import train as _train
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fcn.config import ClassInfo
    from napari_fcn.engine.events import Event
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.train import CancelToken
    from napari_fcn.engine.trainer import Trainer

_DEFAULT_SECONDS = 60.0
_TASKS = ("segmentation", "density", "regression")


def train(
    images: Any | Sequence[Any],
    labels: Any | Sequence[Any] = None,
    task: Literal["segmentation", "density", "regression"] = "segmentation",
    *,
    seconds: float | None = None,
    steps: int | None = None,
    axes: str | None = None,
    dense: bool = False,
    regions: Any | Sequence[Any] = None,
    boxes: Sequence[Sequence[CountedBox]] = (),
    classes: Sequence[ClassInfo] | None = None,
    network: NetworkConfig | None = None,
    config: TrainingConfig | None = None,
    init: Model | None = None,
    callback: Callable[[Event, Trainer | None], None] | None = None,
    cancel: CancelToken | None = None,
) -> Model:
    """Train a network on annotated arrays.

    Parameters
    ----------
    images : array or sequence of arrays
        numpy, dask or zarr arrays.
    labels : array or sequence of arrays
        For segmentation integers of the images' shapes without channels, of which 0 is
        not annotated. For counting the dots of each image, (n, axes without channels),
        or `Dots` with classes. For regression the target images; none for a loss that
        needs none.
    task : {"segmentation", "density", "regression"}
        What to learn: classes of pixels, counts, or another image.
    seconds, steps : float and int, optional
        How long; 60 seconds if neither is given.
    axes : str, optional
        One letter per axis of the images, such as ``"TCYX"``; guessed by default.
    dense : bool
        Whether 0 in the labels is background in place of not annotated.
    regions : array or sequence of arrays, optional
        Of the labels' shapes: not 0 where every object has a dot, or where the target
        is trusted. By default whole slices with any dot, and whole targets.
    boxes : sequence of sequence of CountedBox, optional
        For counting: boxes in each image of which only the number of objects is known.
    classes : sequence of ClassInfo, optional
        Names and colours; made from the numbers in the labels by default.
    network : NetworkConfig, optional
        What to train; its channels are set from the arrays.
    config : TrainingConfig, optional
        How to train.
    init : Model, optional
        What to start from.
    callback : callable, optional
        Told each event, with the trainer once there is one.
    cancel : CancelToken, optional
        Stops the run; the best weights so far are returned.

    Returns
    -------
    Model
        The best weights, ready to predict and to save.

    Raises
    ------
    UserError
        If images and labels do not fit, or there is nothing to learn from.
    """
    if task not in _TASKS:
        raise UserError(
            f"The task {task!r} is not known; use {' or '.join(map(repr, _TASKS))}."
        )
    network = network or (init.config.network if init else NetworkConfig())
    items: Sequence[Any]
    if task == "segmentation":
        items = _pair(images, labels, axes, network.ndim, dense=dense)
        if classes is None:
            values = find_values(items)
            background = 0 if dense and 0 in values else 1
            classes = classes_from_values(values, background=background)
    else:
        pictures = _as_list(images)
        areas = _matched(pictures, regions, "regions")
        if task == "density":
            items = _dotted(pictures, labels, areas, boxes, axes, network.ndim)
            found = {int(v) for item in items for v in item.dots.values}
            classes = classes or classes_from_values(found, background=None)
        else:
            items, classes = _paired(pictures, labels, areas, axes, network.ndim), ()
    if seconds is None and steps is None:
        seconds = _DEFAULT_SECONDS
    return _train(
        items,
        classes,
        config=config,
        network=network,
        budget=Budget(seconds, steps),
        init=init,
        callback=callback,
        cancel=cancel,
    )


def _dotted(
    pictures: Sequence[Any],
    labels: Any,
    regions: Sequence[Any],
    boxes: Sequence[Sequence[CountedBox]],
    axes: str | None,
    ndim: int,
) -> list[DottedImage]:
    # one list of coordinates is the dots of one image, not many images
    given = labels if len(pictures) > 1 or _is_listed(labels) else [labels]
    dots = [x if isinstance(x, Dots) else Dots.of(x) for x in given]
    dots = _matched(pictures, dots, "sets of dots")
    counted = _matched(pictures, list(boxes) or None, "lists of boxes")
    return [
        DottedImage(_source(image, axes, ndim, number), found, area, tuple(known or ()))
        for number, (image, found, area, known) in enumerate(
            zip(pictures, dots, regions, counted, strict=True), 1
        )
    ]


def _is_listed(labels: Any) -> bool:
    """Tell whether this is a list of sets of dots rather than one set."""
    if not isinstance(labels, list | tuple) or not labels:
        return False
    return isinstance(labels[0], Dots) or np.ndim(labels[0]) == 2


def _paired(
    pictures: Sequence[Any],
    targets: Any,
    regions: Sequence[Any],
    axes: str | None,
    ndim: int,
) -> list[PairedImage]:
    return [
        PairedImage(
            _source(image, axes, ndim, number),
            None
            if target is None
            else _source(
                target, _target_axes(image, target, axes), ndim, number, "target"
            ),
            area,
        )
        for number, (image, target, area) in enumerate(
            zip(pictures, _matched(pictures, targets, "targets"), regions, strict=True),
            1,
        )
    ]


def _target_axes(image: Any, target: Any, axes: str | None) -> str | None:
    """Return the axes of a target, which may have channels where the image has none."""
    if axes is None or len(target.shape) == len(axes):
        return axes
    plain = axes.upper().replace("C", "").replace("S", "")
    return plain if len(target.shape) == len(plain) else "C" + plain


def _source(
    array: Any, axes: str | None, ndim: int, number: int, what: str = "image"
) -> ImageSource:
    names = axes or default_axes(tuple(array.shape))
    return ImageSource(array, Axes.of(names), ndim, f"{what} {number}")


def _matched(pictures: Sequence[Any], given: Any, what: str) -> list[Any]:
    """Return one of these for each image; None where there are none."""
    if given is None:
        return [None] * len(pictures)
    found = _as_list(given)
    if len(found) != len(pictures):
        raise UserError(
            f"There are {len(pictures)} image(s) but {len(found)} {what}; give one for "
            "each image, in the same order."
        )
    return found


def _pair(
    images: Any, labels: Any, axes: str | None, ndim: int, *, dense: bool
) -> list[LabelledImage]:
    pictures, painted = _as_list(images), _as_list(labels)
    if len(pictures) != len(painted):
        raise UserError(
            f"There are {len(pictures)} image(s) but {len(painted)} labels; give one "
            "for each image, in the same order."
        )
    return [
        LabelledImage(
            ImageSource(
                image, Axes.of(axes or _guess(image, label)), ndim, f"image {number}"
            ),
            label,
            dense=dense,
        )
        for number, (image, label) in enumerate(zip(pictures, painted, strict=True), 1)
    ]


def _guess(image: Any, label: Any) -> str:
    """Name the axes; labels with one axis less say where the channels are."""
    shape, without = tuple(image.shape), tuple(label.shape)
    if len(without) == len(shape) - 1:
        if shape[:-1] == without:
            return default_axes(without) + "C"
        if shape[1:] == without:
            return "C" + default_axes(without)
    return default_axes(shape) if len(without) != len(shape) else _plain(shape)


def _plain(shape: tuple[int, ...]) -> str:
    """Name axes of which none is a channel, since the labels have them all."""
    names = "QTZYX"[-len(shape) :]
    if len(names) != len(shape):
        raise UserError(
            f"An array of shape {shape} has too many axes; name them with axes=."
        )
    return names


def _as_list(values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return [np.asarray(v) if isinstance(v, list) else v for v in values]
    return [values]
