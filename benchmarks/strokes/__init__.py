"""Accuracy from few strokes, against random forests on the same strokes.

Membranes or nuclei are painted by a simulated annotator on a few planes; all sides
are scored by the Dice coefficient of the objects on planes nobody painted. Draws of
strokes are paired: every row compares the sides on the very same strokes. Rows
with rounds of corrections add strokes on the largest errors that each side made.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import Report, load
from napari_fcn.config import NetworkConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.strokes.study import ForestSide, Setting

MARKS = (5.0, 10.0, 30.0, 60.0)
SHORT_MARKS = (5.0, 10.0)
DRAWS = 3
CORRECTIONS = 4
"""Strokes on each painted plane in each round of corrections."""
_STEPS = "steps at last"


def run(*, short: bool) -> Report | None:
    """Measure all data that is here (short: one setting, one draw, ten seconds)."""
    if not _peer_is_here():
        return None
    from benchmarks.strokes.settings import choose

    settings = choose(short=short, tell=_tell)
    if not settings:
        return None
    return measure(settings, SHORT_MARKS if short else MARKS, 1 if short else DRAWS)


def measure(
    settings: Iterable[Setting],
    marks: tuple[float, ...],
    draws: int,
    rounds: tuple[int, ...] = (0, CORRECTIONS),
) -> Report:
    """Train and score every setting `draws` times; report means over the draws.

    Each setting is measured for each of `rounds`, by default twice: with the careful
    strokes alone, and with corrections painted at each mark, for which all sides see
    their own errors.
    """
    from benchmarks.strokes.forest import PEERS
    from benchmarks.strokes.study import ForestSide

    report = Report(
        "Dice of the objects on unseen planes, after seconds of training",
        {"draws": draws, "trained": "until stopped, averaged weights, live"},
        notes=[
            "With corrections, the forests are those of the last round. *forest* is "
            "scikit-image's trainable segmentation; *ilastik's filters* are computed "
            "by scipy and scikit-image: indicative. Gain and worst draw are over the "
            "better of the two."
        ],
    )
    known: dict[str, list[ForestSide]] = {}
    for setting in settings:
        fresh = [ForestSide(setting.dataset, peer) for peer in PEERS]
        sides = known.setdefault(setting.dataset.name, fresh)
        for corrections in rounds:
            found = []
            for seed in range(draws):
                found.append(_draw(setting, sides, marks, seed, corrections))
                _tell(found[-1])
            report.details += found
            about = _about(setting, corrections)
            report.rows.append(about | _summary(found, marks))
    return report


def _draw(
    setting: Setting,
    sides: list[ForestSide],
    marks: tuple[float, ...],
    seed: int,
    corrections: int,
) -> dict[str, Any]:
    """Measure all sides on one draw of strokes."""
    from benchmarks.strokes.study import train_on

    labels = setting.draw(seed)
    rounds = len(marks) if corrections else 1
    peers = {
        side.peer.name: side.rounds(setting, labels, seed, rounds, corrections)
        for side in sides
    }
    network = NetworkConfig(ndim=setting.dataset.ndim)
    curve = train_on(setting, labels, marks, seed, network, corrections)
    return _about(setting, corrections) | {
        "draw": seed,
        "peers": peers,
        "network": curve,
        "load": load(),
    }


def _summary(found: list[dict[str, Any]], marks: tuple[float, ...]) -> dict[str, Any]:
    """Means over draws, and the spread of the paired difference at the last mark."""
    peers = {
        name: float(np.mean([f["peers"][name][-1]["dice"] for f in found]))
        for name in found[0]["peers"]
    }
    best = max(peers, key=lambda name: peers[name])
    curves = np.array([[point["dice"] for point in f["network"]] for f in found])
    gain = curves[:, -1] - [f["peers"][best][-1]["dice"] for f in found]
    row: dict[str, Any] = dict(peers)
    row |= {
        f"{m:g} s": float(d) for m, d in zip(marks, curves.mean(axis=0), strict=True)
    }
    row["gain at last"] = float(gain.mean())
    row["worst draw"] = float(gain.min())
    row["load"] = float(np.mean([f["load"] for f in found]))
    row[_STEPS] = int(np.mean([f["network"][-1]["step"] for f in found]))
    return row


def _about(setting: Setting, corrections: int) -> dict[str, Any]:
    return {
        "data": setting.dataset.name,
        "painted": f"{setting.share:.1%} of {len(setting.painted)}",
        "corrections": corrections,
    }


def _peer_is_here() -> bool:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        _tell("left out: the peer needs scikit-learn (pip install 'napari-fcn[bench]')")
        return False
    return True


def _tell(what: object) -> None:
    print(what, file=sys.stderr, flush=True)
