"""Accuracy from few strokes, against a random forest on the same strokes.

Membranes or nuclei are painted by a simulated annotator on a few planes; both sides
are scored by the Dice coefficient of the objects on planes nobody painted. Draws of
strokes are paired: every row compares the two sides on the very same strokes. Rows
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
    strokes alone, and with corrections painted at each mark, for which both sides see
    their own errors.
    """
    from benchmarks.strokes.study import ForestSide

    report = Report(
        "Dice of the objects on unseen planes, after seconds of training",
        {"draws": draws, "trained": "until stopped, averaged weights, live"},
        notes=["With corrections, the forest is that of the last round."],
    )
    sides: dict[str, ForestSide] = {}
    for setting in settings:
        side = sides.setdefault(setting.dataset.name, ForestSide(setting.dataset))
        for corrections in rounds:
            found = []
            for seed in range(draws):
                found.append(_draw(setting, side, marks, seed, corrections))
                _tell(found[-1])
            report.details += found
            about = _about(setting, corrections)
            report.rows.append(about | _summary(found, marks))
    return report


def _draw(
    setting: Setting,
    side: ForestSide,
    marks: tuple[float, ...],
    seed: int,
    corrections: int,
) -> dict[str, Any]:
    """Measure both sides on one draw of strokes."""
    from benchmarks.strokes.study import train_on

    labels = setting.draw(seed)
    rounds = len(marks) if corrections else 1
    peer = side.rounds(setting, labels, seed, rounds, corrections)
    network = NetworkConfig(ndim=setting.dataset.ndim)
    curve = train_on(setting, labels, marks, seed, network, corrections)
    return _about(setting, corrections) | {
        "draw": seed,
        "forest": peer[-1]["dice"],
        "forest rounds": peer,
        "network": curve,
        "load": load(),
    }


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
