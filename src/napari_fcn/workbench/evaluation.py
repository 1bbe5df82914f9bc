"""Scoring models for counting and regression against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.dot_files import read_dots
from napari_fcn.engine.image_scores import compare_images
from napari_fcn.engine.outputs import channel_names
from napari_fcn.engine.predict import predict_source
from napari_fcn.errors import UserError
from napari_fcn.workbench.counting import count_image
from napari_fcn.workbench.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fcn.config import DeviceName
    from napari_fcn.engine.model import Model


def evaluate_files(
    model: Model,
    images: Sequence[Path],
    truths: Sequence[Path],
    axes: str | None,
    device: DeviceName,
) -> dict[str, Any]:
    """Compare predictions with dots, or with target images.

    Returns
    -------
    dict
        ``images``: a row per image and class or channel. For counting
        ``mean_absolute_error``, per sample; for regression ``pearson``, ``psnr`` and
        ``ssim``, means over rows.

    Raises
    ------
    UserError
        If files do not fit the model.
    """
    compare = _count_rows if model.config.task == "density" else _image_rows
    rows: list[dict[str, Any]] = []
    for image, truth in zip(images, truths, strict=True):
        rows += compare(model, image, truth, axes, device)
    names = ("pearson", "psnr", "ssim")
    if model.config.task == "density":
        errors = [abs(row["count"] - row["truth"]) for row in rows]
        return {"mean_absolute_error": float(np.mean(errors)), "images": rows}
    return {
        **{name: float(np.mean([row[name] for row in rows])) for name in names},
        "images": rows,
    }


def _count_rows(
    model: Model, image: Path, truth: Path, axes: str | None, device: DeviceName
) -> list[dict[str, Any]]:
    source = open_source(image, model.config.network.ndim, axes)
    dots = read_dots(truth, source)
    positions = list(source.label_axes.samples(source.ndim))
    planes = np.rint(dots.places[:, positions]).astype(int)
    counts = iter(count_image(model, source, device=device).counts)
    rows = []
    for sample in source.samples():
        here = (planes == np.array(sample, int)).all(1)
        for info in model.config.classes:
            count = next(counts)
            rows.append(
                {
                    "image": str(image),
                    "slice": count.slice,
                    "class": info.name,
                    "count": round(count.count, 3),
                    "deviation": round(count.deviation, 3),
                    "truth": int((here & (dots.values == info.value)).sum()),
                }
            )
    return rows


def _image_rows(
    model: Model, image: Path, truth: Path, axes: str | None, device: DeviceName
) -> list[dict[str, Any]]:
    source = open_source(image, model.config.network.ndim, axes)
    target = open_source(truth, source.ndim)
    names = channel_names(model.config)
    mine = (source.sample_shape, source.spatial_shape, len(names))
    other = (target.sample_shape, target.spatial_shape, target.n_channels)
    if mine != other:
        raise UserError(
            f"{truth.name} has {other[2]} channel(s) and shape {other[0] + other[1]} "
            f"but the prediction {mine[2]} and {mine[0] + mine[1]}; check that they "
            "belong together."
        )
    found = np.zeros((len(names), *source.label_shape), np.float32)
    out = found if len(names) > 1 else found[0]
    predict_source(model, source, out, device=device)
    whole = source.whole()
    rows = []
    for channel, name in enumerate(names):
        pairs = [
            (
                target.read(s, whole)[channel],
                source.read_labels(found[channel], s, whole),
            )
            for s in source.samples()
        ]
        stacked = [np.stack(side) for side in zip(*pairs, strict=True)]
        scores = [compare_images(x, y) for x, y in zip(*stacked, strict=True)]
        mean = {
            k: float(np.mean([getattr(s, k) for s in scores]))
            for k in scores[0].as_dict()
        }
        rows.append({"image": str(image), "output": name, **mean})
    return rows
