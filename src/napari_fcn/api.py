"""The Python interface: arrays in, arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage, find_values
from napari_fcn.data.axes import Axes, default_axes
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


def train(
    images: Any | Sequence[Any],
    labels: Any | Sequence[Any],
    task: Literal["segmentation"] = "segmentation",
    *,
    seconds: float | None = None,
    steps: int | None = None,
    axes: str | None = None,
    dense: bool = False,
    classes: Sequence[ClassInfo] | None = None,
    network: NetworkConfig | None = None,
    config: TrainingConfig | None = None,
    init: Model | None = None,
    callback: Callable[[Event, Trainer | None], None] | None = None,
    cancel: CancelToken | None = None,
) -> Model:
    """Train a network on painted arrays.

    Parameters
    ----------
    images : array or sequence of arrays
        numpy, dask or zarr arrays.
    labels : array or sequence of arrays
        Integers of the images' shapes without channels; 0 is not annotated.
    task : {"segmentation"}
        What to learn.
    seconds, steps : float and int, optional
        How long; 60 seconds if neither is given.
    axes : str, optional
        One letter per axis of the images, such as ``"TCYX"``; guessed by default.
    dense : bool
        Whether 0 in the labels is background in place of not annotated.
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
    if task != "segmentation":
        raise UserError(f"The task {task!r} is not known; use 'segmentation'.")
    network = network or (init.config.network if init else NetworkConfig())
    items = _pair(images, labels, axes, network.ndim, dense=dense)
    if classes is None:
        values = find_values(items)
        background = 0 if dense and 0 in values else 1
        classes = classes_from_values(values, background=background)
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
