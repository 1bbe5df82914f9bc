"""All networks on membranes in electron microscopy, at equal time.

Sections 0 to 23 of the stack of ISBI 2012 are learned from dense masks, 24 to 29 are
scored. All networks start from random weights. Each gets the same processor time for
its training steps, counted by the system over all threads of the process, so that
other programs beside it do not count. What is measured in parts is put together:

    python -m benchmarks.networks unet segnet     # some of them [--seconds N]
    python -m benchmarks networks                 # all
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import RESULTS, Report, median_seconds
from benchmarks.strokes.datasets import OBJECT, isbi2012
from napari_fcn.config import NetworkConfig, TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.metrics import Confusion
from napari_fcn.engine.partition_scores import compare_membranes
from napari_fcn.engine.predict import predict_array
from napari_fcn.engine.trainer import Trainer
from napari_fcn.networks import NETWORKS, count_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fcn.engine.model import Model

SECONDS = 40.0
SHORT_SECONDS = 3.0
BATCH = 4
TRAINED = 24
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)
_WARM_UP = 2
MEMBRANE, CELL = 1, 2
CLASSES = classes_from_values([MEMBRANE, CELL])

Entry = tuple[str, dict[str, Any], str]
ENTRIES: dict[str, Entry] = {
    **{name: (name, {}, "ce+jaccard") for name in NETWORKS},
    "unet-2015, width 16": ("unet-2015", {"width": 16}, "ce+jaccard"),
    "unet-2015, width 16, border weights": ("unet-2015", {"width": 16}, "ce-border"),
}
"""What is trained: a network, what differs from its presets, and the loss."""


def run(*, short: bool) -> Report | None:
    names = ("cnn", "unet") if short else tuple(ENTRIES)
    return measure(names, SHORT_SECONDS if short else SECONDS)


def measure(names: tuple[str, ...], seconds: float) -> Report | None:
    try:
        data = isbi2012()
    except FileNotFoundError as error:
        print(f"skipped: the data is not here ({error})", file=sys.stderr)
        return None
    image = data.images[0]
    truth = np.where(data.truths[0] == OBJECT, MEMBRANE, CELL).astype(np.uint8)
    report = Report(
        "All networks on ISBI 2012 at equal processor time",
        {
            "processor seconds of training": seconds,
            "crops per step": BATCH,
            "edge of a crop": 128,
            "learned": f"sections 0-{TRAINED - 1}",
            "scored": f"sections {TRAINED}-{len(image) - 1}",
        },
        notes=[
            "Seconds per step are processor time over all threads (median); on an "
            "idle computer a step takes about that divided by the number of threads. "
            "V-Rand is the mean over sections at the best of "
            f"{len(THRESHOLDS)} thresholds; Dice is that of labels. One run each, so "
            "differences of a few hundredths are chance. Large networks make few "
            "steps in this time, which is what this table shows and all it shows."
        ],
    )
    for name in names:
        report.rows.append(one(name, image, truth, seconds))
        print(report.rows[-1], file=sys.stderr, flush=True)
    return report


def one(
    name: str, image: NDArray[Any], truth: NDArray[Any], seconds: float
) -> dict[str, Any]:
    """Train one network and score it."""
    network, settings, loss = ENTRIES[name]
    source = ImageSource(image[:TRAINED], Axes.of("ZYX"), 2)
    trainer = Trainer(
        [LabelledImage(source, truth[:TRAINED])],
        CLASSES,
        TrainingConfig(loss=loss, batch=BATCH, held_out=0, shipped=False),
        NetworkConfig(name=network, **settings),
    )
    taken: list[float] = []
    while sum(taken) < seconds:
        start = time.process_time()
        trainer.step(sum(taken) / seconds)
        taken.append(time.process_time() - start)
    model = trainer.best_model()
    return {
        "network": name,
        "parameters": count_parameters(model.network),
        "receptive field": model.receptive_field.size[0],
        "stride": model.receptive_field.stride[0],
        "seconds per step": _typical(taken),
        "steps": len(taken),
        **score(model, image[TRAINED:], truth[TRAINED:] == CELL),
    }


def score(model: Model, image: NDArray[Any], cells: NDArray[Any]) -> dict[str, float]:
    """Return Dice of membranes and cells, and V-Rand, over sections."""
    likely = predict_array(model, image, axes="ZYX", output="probabilities")
    confusion = Confusion(2)
    confusion.update(cells.astype(np.int64), likely.argmax(0))
    v_rand = [
        statistics.mean(
            compare_membranes(c, p, [threshold])[0].v_rand
            for c, p in zip(cells, likely[1], strict=True)
        )
        for threshold in THRESHOLDS
    ]
    membranes, inside = (float(d) for d in confusion.dice)
    return {
        "Dice, membranes": membranes,
        "Dice, cells": inside,
        "V-Rand": max(v_rand),
    }


def _typical(taken: list[float]) -> float:
    """Return the median without the first steps, where there are enough."""
    rest = taken[_WARM_UP:] if len(taken) >= _WARM_UP + 3 else taken
    return median_seconds(rest) if len(rest) >= 3 else statistics.mean(rest)


def merge(report: Report) -> Report:
    """Put rows that were measured before, with the same settings, beside the new."""
    path = (RESULTS / "networks").with_suffix(".json")
    before = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    same = before.get("settings") == report.settings
    rows = {row["network"]: row for row in [*before["rows"] * same, *report.rows]}
    report.rows = [rows[name] for name in ENTRIES if name in rows]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=tuple(ENTRIES), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    for name in given.names:
        report = measure((name,), given.seconds)
        if report is None:
            return
        print(f"kept as {merge(report).save(RESULTS / 'networks')}", flush=True)


if __name__ == "__main__":
    main()
