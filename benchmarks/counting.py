"""Counting of cells, 256 x 256 pixels each: error over images, and over dots clicked.

The data of Lempitsky & Zisserman 2010: train on N of images 1-50, all of whose cells
have dots, and test on images 51-100. Papers train on N = 32 and report mean absolute
errors of 3.5 (Lempitsky & Zisserman 2010), 2.9 (Xie et al. 2018) and 2.4 (Cohen et al.
2017); their splits differ from this one.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from skimage.io import imread

from benchmarks.report import Report, load
from benchmarks.strokes.datasets import data_folder
from napari_fcn.config import ClassInfo, TrainingConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.dots import Dots, DottedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.train import Budget, train
from napari_fcn.workbench.counting import count_image

CELL = (ClassInfo(value=2, name="cell"),)
TRAINING, TESTING = range(1, 51), range(51, 101)
STEPS = int(os.environ.get("NAPARI_FCN_STEPS", "3000"))
"""About 12 minutes on one core that does nothing else."""
DRAWS = int(os.environ.get("NAPARI_FCN_DRAWS", "3"))
AMOUNTS = {
    "32 images": 1.0,
    "16 images": 1.0,
    "1 image": 1 / 3,
    "a quarter of an image": 1 / 3,
}
"""How much is dotted, and the share of the steps that such a run takes."""
CHOSEN = os.environ.get("NAPARI_FCN_DOTTED", ",".join(AMOUNTS)).split(",")
"""Some of `AMOUNTS`."""


def run(*, short: bool) -> Report | None:
    """Train on few and many images; None without the data."""
    folder = data_folder() / "vgg_cells" / "cells"
    if not folder.is_dir():
        print(f"no data at {folder}")
        return None
    steps, draws = (60, 1) if short else (STEPS, DRAWS)
    report = Report(
        "Mean absolute error of counts on 50 unseen images of cells",
        {"draws": draws},
        notes=[
            "inside 68 % and 95 %: share of the images whose true count lies within "
            "one standard deviation, and within the limits, as the model gives them."
        ],
    )
    images = {number: read(folder, number) for number in (*TRAINING, *TESTING)}
    for clicked in CHOSEN:
        of_these = round(AMOUNTS[clicked] * steps)
        found = [measure(images, clicked, draw, of_these) for draw in range(draws)]
        report.details += found
        report.rows.append(summary(clicked, found))
        print(report.rows[-1], flush=True)
    return report


def read(folder: Any, number: int) -> DottedImage:
    """Open an image with its dots."""
    image = imread(folder / f"{number:03d}cell.png")[..., 2]
    dots = np.argwhere(imread(folder / f"{number:03d}dots.png").any(-1))
    source = ImageSource(image, Axes.of("YX"), 2, str(number))
    return DottedImage(source, Dots.of(dots))


def choose(images: dict[int, DottedImage], what: str, draw: int) -> list[DottedImage]:
    """Return what someone has clicked dots in."""
    order = np.random.default_rng(draw).permutation(list(TRAINING))
    if "quarter" not in what:
        return [images[n] for n in order[: int(what.split()[0])]]
    item = images[order[0]]
    regions = np.zeros(item.image.label_shape, np.uint8)
    regions[64:192, 64:192] = 1
    return [DottedImage(item.image, item.dots, regions)]


def measure(
    images: dict[int, DottedImage], what: str, draw: int, steps: int
) -> dict[str, Any]:
    """Train once and count the test images."""
    items = choose(images, what, draw)
    start, before = time.perf_counter(), load()
    model = train(
        items, CELL, config=TrainingConfig(seed=draw), budget=Budget(steps=steps)
    )
    seconds = time.perf_counter() - start
    errors, deviations, reaches = [], [], []
    for number in TESTING:
        (count,) = count_image(model, images[number].image).counts
        errors.append(count.count - len(images[number].dots))
        deviations.append(count.deviation)
        reaches.append(count.reach)
    wrong = np.abs(errors)
    clicked = sum(
        int(item.annotated()[tuple(item.dots.places.astype(int).T)].sum())
        for item in items
    )
    return {
        "annotated": what,
        "draw": draw,
        "dots": clicked,
        "steps": steps,
        "error": float(wrong.mean()),
        "bias": float(np.mean(errors)),
        "inside 68": float((wrong <= deviations).mean()),
        "inside 95": float((wrong <= reaches).mean()),
        "seconds": seconds,
        "load": before,
    }


def summary(what: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over draws as a row of the table."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in found]))

    return {
        "annotated": what,
        "dots": round(mean("dots")),
        "steps": round(mean("steps")),
        "mean absolute error": mean("error"),
        "worst draw": max(row["error"] for row in found),
        "bias": mean("bias"),
        "inside 68 %": mean("inside 68"),
        "inside 95 %": mean("inside 95"),
        "minutes": mean("seconds") / 60,
        "load": mean("load"),
    }
