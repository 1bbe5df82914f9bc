"""From Train to the first overlay, between refreshes, and from a stroke to its use.

A real engine in its own process with the default network on a 512 x 512 colour image,
driven as the window drives it but without one.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import Report, median_seconds
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.workbench.session import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL = 0.01
_PATIENCE = 300.0


def run(*, short: bool) -> Report:
    report = Report(
        "The engine: seconds",
        {"image": "512 x 512 RGB", "network": "default", "rounds": 3},
    )
    start, first, refresh, speed = [], [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            book = Workbench(Path(folder))
            try:
                begun = time.perf_counter()
                book.start_engine()
                _until(book, lambda book=book: book.status.warm)
                start.append(time.perf_counter() - begun)
                _paint(book)
                shown = _train(book, 10 if short else 30)
                first.append(shown[0])
                gaps = [b - a for a, b in itertools.pairwise(shown)]
                refresh.append(statistics.median(gaps))
                speed.append(book.status.step / book.status.seconds)
            finally:
                book.close()
    for what, samples_, aim in (
        ("starting the engine until it is warm", start, ""),
        ("pressing Train until the first overlay, warm", first, "5"),
        ("between refreshes of a 512 x 512 view", refresh, "2"),
    ):
        report.rows.append({"what": what, "median": median_seconds(samples_),
                            "worst": max(samples_), "aim": aim})  # fmt: skip
    report.notes.append(
        f"{statistics.median(speed):.2f} training steps per second while the view is "
        "kept fresh."
    )
    return report


def _paint(book: Workbench) -> None:
    image = book.add_image(samples.tissue(), Axes.of("YXS"), "tissue")
    book.labels(image.key)[...] = samples.strokes(samples.tissue_truth())
    book.flush()
    book.look(image, (), (slice(0, 512), slice(0, 512)))


def _train(book: Workbench, seconds: float) -> list[float]:
    """Train and return when the view was shown, from pressing Train on."""
    shown: list[float] = []
    begun = time.perf_counter()
    book.shown.connect(lambda _: shown.append(time.perf_counter() - begun))
    book.train()
    _until(book, lambda: len(shown) >= 3 and time.perf_counter() - begun > seconds)
    taken = list(shown)
    book.stop()
    _until(book, lambda: book.status.state == "ready")
    return taken


def _until(book: Workbench, condition: Callable[[], bool]) -> None:
    end = time.perf_counter() + _PATIENCE
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError("the engine did not answer")
        book.poll()
        time.sleep(_POLL)
