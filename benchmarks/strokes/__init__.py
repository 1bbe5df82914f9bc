"""Accuracy from few strokes, against a random forest on the same strokes.

Membranes or nuclei are painted by a simulated annotator on a few planes; both sides
are scored by the Dice coefficient of the objects on planes nobody painted. Draws of
strokes are paired: every row compares the two sides on the very same strokes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report, load
from napari_fcn.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.strokes.datasets import Dataset
    from benchmarks.strokes.study import Setting

MARKS = (5.0, 10.0, 30.0, 60.0)
SHORT_MARKS = (5.0, 10.0)
DRAWS = 3
_STEPS = "steps at last"


def run(*, short: bool) -> Report | None:
    """Measure ISBI 2012 (short: one setting, one draw, ten seconds)."""
    if not _peer_is_here():
        return None
    settings = list(_electron_microscopy(short=short))
    if not settings:
        return None
    return measure(settings, SHORT_MARKS if short else MARKS, 1 if short else DRAWS)


def measure(
    settings: Iterable[Setting], marks: tuple[float, ...], draws: int
) -> Report:
    """Train and score every setting `draws` times; report means over the draws."""
    from benchmarks.strokes.study import ForestSide, train_on

    report = Report(
        "Dice of the objects on unseen planes, after seconds of training",
        {"draws": draws, "trained": "until stopped, averaged weights, live"},
    )
    sides: dict[str, ForestSide] = {}
    for setting in settings:
        data = setting.dataset
        side = sides.setdefault(data.name, ForestSide(data))
        network = NetworkConfig(ndim=data.ndim)
        found = []
        for seed in range(draws):
            labels = setting.draw(seed)
            peer, seconds = side.score(setting, labels, seed)
            curve = train_on(setting, labels, marks, seed, network)
            detail = {"forest": peer, "forest seconds": seconds, "network": curve}
            detail["load"] = load()
            found.append(_about(setting) | {"draw": seed} | detail)
            _tell(found[-1])
        report.details += found
        report.rows.append(_about(setting) | _summary(found, marks))
    return report


def _summary(found: list[dict[str, Any]], marks: tuple[float, ...]) -> dict[str, Any]:
    """Means over draws, and the spread of the paired difference at the last mark."""
    peers = np.array([f["forest"] for f in found])
    curves = np.array([[point["dice"] for point in f["network"]] for f in found])
    gain = curves[:, -1] - peers
    row: dict[str, Any] = {"forest": float(peers.mean())}
    row |= {
        f"{m:g} s": float(d) for m, d in zip(marks, curves.mean(axis=0), strict=True)
    }
    row["gain at last"] = float(gain.mean())
    row["worst draw"] = float(gain.min())
    row["load"] = float(np.mean([f["load"] for f in found]))
    row[_STEPS] = int(np.mean([f["network"][-1]["step"] for f in found]))
    return row


def _about(setting: Setting) -> dict[str, Any]:
    return {
        "data": setting.dataset.name,
        "painted": f"{setting.share:.1%} of {len(setting.painted)}",
    }


def _electron_microscopy(*, short: bool) -> Iterator[Setting]:
    """One and three sections painted at two shares; three other sections tested."""
    from benchmarks.strokes.datasets import isbi2012
    from benchmarks.strokes.study import Setting

    data = _load(isbi2012)
    if data is None:
        return
    tested = [(0, z) for z in (5, 15, 25)]
    for share in (0.005,) if short else (0.005, 0.02):
        for sections in ((0,),) if short else ((0,), (0, 10, 20)):
            yield Setting(data, share, [(0, z) for z in sections], tested)


def _load(loader: Any) -> Dataset | None:
    from benchmarks.strokes.datasets import data_folder

    try:
        data: Dataset = loader()
    except FileNotFoundError:
        _tell(f"left out: no images of {loader.__name__} under {data_folder()}")
        return None
    return data


def _peer_is_here() -> bool:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        _tell("left out: the peer needs scikit-learn (pip install 'napari-fcn[bench]')")
        return False
    return True


def _tell(what: object) -> None:
    print(what, file=sys.stderr, flush=True)
