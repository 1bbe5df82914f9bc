"""What a stroke costs on a huge stack: labels on disk against napari's numpy layer.

Both are Labels layers of napari over 64 x 4096 x 4096 pixels, painted with the very
same strokes in turns: some dabs of the brush along a line on a random slice, as a drag
of the mouse makes them, and then the end of the stroke, which for the labels on disk
means that the stroke is written to the journal. The labels themselves are written a
little later. Without a window, so that drawing does not hide the difference.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels

_SHAPE = (64, 4096, 4096)
_DABS = 15


def run(*, short: bool) -> Report | None:
    from napari.components import ViewerModel

    from napari_fcn.data.store import ChunkStore
    from napari_fcn.data.strokes import StrokeStore
    from napari_fcn.widgets.image_layers import paint_quickly

    strokes = 30 if short else 100
    report = Report(
        "Painting on 64 x 4096 x 4096 labels, milliseconds",
        {"strokes": strokes, "dabs per stroke": _DABS, "brush": 20},
        notes=[
            "Medians. A slice is shown anew when the slider moves to it; napari's own "
            "layer keeps all of its 1 GiB in memory and nothing on disk."
        ],
    )
    with tempfile.TemporaryDirectory() as folder:
        array = ChunkStore.create(Path(folder) / "x.zarr", _SHAPE, "uint8").array
        store = StrokeStore(array, Path(folder) / "x.strokes")
        viewer = ViewerModel()
        plain = viewer.add_labels(np.zeros(_SHAPE, np.uint8), name="numpy")
        ours = viewer.add_labels(store, name="on disk")
        ours.events.paint.connect(lambda: store.keep())
        paint_quickly(ours)
        ours.undo = lambda: _step(ours, store.undo)
        ours.redo = lambda: _step(ours, store.redo)
        times = _measure({"numpy": plain, "on disk": ours}, strokes)
        same = all(np.array_equal(store[z], plain.data[z]) for z in range(_SHAPE[0]))
    assert same, "both layers must hold the same strokes"
    for what in times["numpy"]:
        numpy, disk = (statistics.median(times[n][what]) for n in ("numpy", "on disk"))
        row = {"what": what, "numpy": numpy, "on disk": disk, "ratio": disk / numpy}
        report.rows.append(row)
    return report


def _measure(
    layers: dict[str, Labels], strokes: int
) -> dict[str, dict[str, list[float]]]:
    times: dict[str, dict[str, list[float]]] = {}
    random = np.random.default_rng(0)
    for number in range(strokes + 5):
        z = int(random.integers(_SHAPE[0]))
        start, step = random.uniform(300, 3700, 2), random.uniform(-12, 12, 2)
        points = [(z, *(start + i * step)) for i in range(_DABS + 1)]
        value = 1 + number % 3
        for name, layer in layers.items():
            found = _stroke(layer, points, value)
            if number >= 5:  # the first ones load what is needed
                for what, seconds in found.items():
                    times.setdefault(name, {}).setdefault(what, []).append(seconds)
    return times


def _stroke(layer: Labels, points: list[Any], value: int) -> dict[str, float]:
    """Paint, and undo and redo, on one layer; return milliseconds."""
    layer.brush_size, layer.mode = 20, "paint"
    clock = [time.perf_counter()]
    _go_to(layer, points[0][0])
    clock.append(time.perf_counter())
    with layer.block_history():
        layer.paint(points[0], value)
        for before, after in pairwise(points):
            layer._draw(value, before, after)
        clock.append(time.perf_counter())
    clock.append(time.perf_counter())
    if hasattr(layer.data, "flush"):
        layer.data.flush()
    clock.append(time.perf_counter())
    layer.undo()
    layer.redo()
    clock.append(time.perf_counter())
    slide, dabs, end, later, back = np.diff(clock) * 1000
    return {
        "show a slice": slide,
        "dabs of a stroke": dabs,
        "end of a stroke": end,
        "whole stroke": dabs + end,
        "writing the labels": later,
        "undo and redo": back,
    }


def _step(layer: Labels, step: Callable[[], object]) -> None:
    """Undo or redo as the window does; the labels are written a little later, too."""
    step()
    layer.data.keep()
    layer.refresh(thumbnail=False, extent=False, highlight=False)


def _go_to(layer: Labels, z: int) -> None:
    layer._slice_dims(_dims_at(z))


def _dims_at(z: int) -> Any:
    from napari.components import Dims

    return Dims(ndim=3, range=[(0, n - 1, 1) for n in _SHAPE], point=(z, 0, 0))
