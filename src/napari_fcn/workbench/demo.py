"""The main job without a window: paint, train, predict, score, save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.config import ClassInfo, default_colour
from napari_fcn.data import samples
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.train import Budget, train
from napari_fcn.export.masks import write_array
from napari_fcn.workbench.jobs import Target, evaluate_image, predict_to_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_CLASSES = (
    ClassInfo(value=1, name="background", colour=default_colour(1), background=True),
    ClassInfo(value=2, name="stained", colour=default_colour(2)),
)


def run_headless(
    folder: Path, seconds: float, tell: Callable[..., None]
) -> dict[str, Any]:
    """Train on strokes in the left half of a tissue image, score on the right half.

    Parameters
    ----------
    folder : Path
        Where model, strokes, masks and overlay are written.
    seconds : float
        How long to train.
    tell : callable
        Told the events of training.

    Returns
    -------
    dict
        Files written and scores.
    """
    image, truth = samples.tissue(), samples.tissue_truth()
    half = image.shape[1] // 2
    painted = np.zeros_like(truth)
    painted[:, :half] = samples.strokes(truth[:, :half])
    source = ImageSource(image, Axes.of("YXS"), 2, "tissue")
    model = train(
        [LabelledImage(source, painted)],
        _CLASSES,
        budget=Budget(seconds=seconds),
        callback=tell,
    )
    axes = source.label_axes
    files = {n: folder / n for n in ("model.safetensors", "masks.tif", "overlay.png")}
    model.save(files["model.safetensors"])
    predict_to_file(model, source, Target(files["masks.tif"]))
    write_array(folder / "strokes.tif", painted, axes)
    mask = model.predict(image, axes="YXS")
    write_array(files["overlay.png"], _overlay(image, mask, painted), Axes.of("YXS"))
    unseen = ImageSource(image[:, half:], Axes.of("YXS"), 2, "right half")
    score = evaluate_image(model, unseen, truth[:, half:])
    return {
        "painted_share": float((painted > 0).mean()),
        "dice_unseen_half": {
            c.name: float(d) for c, d in zip(_CLASSES, score.dice, strict=True)
        },
        "files": [str(folder / n) for n in (*files, "strokes.tif")],
    }


def _overlay(
    image: NDArray[np.uint8], mask: NDArray[Any], painted: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Draw the outline of the mask and the strokes over the image, side by side."""
    from skimage.segmentation import find_boundaries

    left, right = image.copy(), image.copy()
    for info in _CLASSES:
        colour = [int(info.colour[i : i + 2], 16) for i in (1, 3, 5)]
        left[painted == info.value] = colour
    right[find_boundaries(mask > 0)] = (255, 255, 0)
    return np.concatenate([left, right], axis=1)
