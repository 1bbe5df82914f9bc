"""Gaps in the event loop of a real viewer, at rest and while training and painting.

A timer asks to be called every 10 ms; the time between two calls is a gap. All states
are measured in one run, in turns, on the same viewer: at rest, while a hand paints (on
a plain numpy Labels layer of napari as well, which tells what painting costs anyway on
this screen), while the engine trains, and both at once. Needs an X server, real or
virtual; a virtual one draws without a GPU.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_fcn.widgets.train_dock import TrainDock

_BEAT_MS = 10
_ROUNDS = 3
_PLAIN = "painting, plain napari layer"
_NOTE = (
    "The aim is a p95 of at most twice that at rest. Painting is compared to painting "
    "on a plain numpy Labels layer of napari, too: what that costs is napari's own "
    "drawing, most of all on a screen without a GPU, and the aim cannot be met where "
    "it alone is above it."
)


def run(*, short: bool) -> Report | None:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        print("skipped: there is no screen; try it under xvfb-run -a")
        return None
    seconds = 5.0 if short else 10.0
    report = Report(
        "Gaps of the event loop, milliseconds (a timer of 10 ms)",
        {"image": "512 x 512 RGB", "seconds per state": seconds, "rounds": _ROUNDS},
    )
    with tempfile.TemporaryDirectory() as folder:
        results = _measure(Path(folder), seconds)
    middle = {s: statistics.median(p for p, _ in f) for s, f in results.items()}
    for state, found in results.items():
        row: dict[str, Any] = {
            "state": state,
            "p95": middle[state],
            "longest": max(worst for _, worst in found),
            "ratio to rest": middle[state] / middle["at rest"],
        }
        if "painting" in state:
            row["ratio to painting on a plain layer"] = middle[state] / middle[_PLAIN]
        else:
            row["ratio to painting on a plain layer"] = "-"
        report.rows.append(row)
    report.notes.append(_NOTE)
    return report


def _measure(folder: Path, seconds: float) -> dict[str, list[tuple[float, float]]]:
    import napari
    from qtpy.QtTest import QTest

    from napari_fcn.data import samples
    from napari_fcn.widgets.host import Host
    from napari_fcn.widgets.train_dock import TrainDock
    from napari_fcn.workbench.session import Workbench

    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(1300, 850)
    book = Workbench(folder)
    host = Host(viewer, book, window)
    dock = TrainDock(viewer, host)
    viewer.window.add_dock_widget(dock)
    viewer.add_image(samples.tissue(), rgb=True, name="tissue")
    QTest.qWait(500)
    dock.start()
    scene = host.scene
    assert scene.image is not None
    book.labels(scene.image.key)[...] = samples.strokes(samples.tissue_truth())
    plain = viewer.add_labels(np.zeros((512, 512), np.uint8), name="plain")
    while not book.status.warm:
        QTest.qWait(50)
    results: dict[str, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        for state, train, brush in (
            ("at rest", False, None),
            (_PLAIN, False, plain),
            ("painting", False, scene.strokes),
            ("training", True, None),
            ("training and painting", True, scene.strokes),
        ):
            _set_training(dock, train)
            found = _heartbeat(dock, seconds, brush)
            results.setdefault(state, []).append(found)
    book.stop()
    while book.status.state != "ready":
        QTest.qWait(50)
    host.close()
    viewer.close()
    return results


def _set_training(dock: TrainDock, wanted: bool) -> None:
    from qtpy.QtTest import QTest

    state = dock.workbench.status.state
    if wanted != (state == "training"):
        dock.toggle()
    goal = "training" if wanted else "paused" if state == "training" else state
    while dock.workbench.status.state != goal:
        QTest.qWait(20)
    QTest.qWait(1500)  # what the change itself costs is not meant


def _heartbeat(
    dock: TrainDock, seconds: float, brush: Labels | None
) -> tuple[float, float]:
    """Return 95th percentile and longest of the gaps, in milliseconds."""
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtTest import QTest

    if brush is not None:
        dock.viewer.layers.selection.active = brush
        brush.selected_label, brush.brush_size, brush.mode = 2, 6, "paint"
        QTest.qWait(300)
    beats: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(_BEAT_MS)
    end = time.perf_counter() + seconds
    random = np.random.default_rng(0)
    while time.perf_counter() < end:
        if brush is not None:
            _stroke(dock, random)
        QTest.qWait(50)
    timer.stop()
    gaps = np.diff(beats) * 1000
    return float(np.percentile(gaps, 95)), float(gaps.max())


def _stroke(dock: TrainDock, random: np.random.Generator) -> None:
    """Paint one stroke with mouse events, at the pace of a hand."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    canvas = dock.viewer.window._qt_viewer.canvas.native
    size = np.array([canvas.width(), canvas.height()])
    place = size / 2 + random.uniform(-120, 120, 2)
    direction = random.uniform(-6, 6, 2)
    button = Qt.MouseButton.LeftButton
    QTest.mousePress(canvas, button, pos=QPoint(*map(int, place)))
    for _ in range(15):
        place += direction
        QTest.mouseMove(canvas, QPoint(*map(int, place)))
        QTest.qWait(16)
    QTest.mouseRelease(canvas, button, pos=QPoint(*map(int, place)))
