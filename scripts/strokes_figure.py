"""Draw the figure of accuracy over seconds and over painted pixels.

From the saved results of `python -m benchmarks strokes`. Needs a screen; `xvfb-run -a`
gives one.

    python scripts/strokes_figure.py docs/images
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from sheet import Sheet, curve

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "strokes.json"
FOREST = "forest"
WIDTH, HEIGHT = 1440, 310
TITLES = {
    "isbi2012": "membranes",
    "isbi2012, other sections": "membranes, other sections",
    "dsb2018-fluorescence": "nuclei, fluorescence",
    "dsb2018-tissue": "nuclei, stained tissue",
    "nuclei2d": "crowded nuclei",
}


def draw_figure(details: list[dict[str, Any]], path: Path) -> None:
    """Draw a column for each data set: over seconds, and with corrections if any."""
    rows: list[tuple[bool, str, Callable[..., None]]] = [
        (False, "seconds of training", _over_seconds)
    ]
    if any(d["corrections"] for d in details):
        rows.append((True, "pixels painted", _over_pixels))
    sheet = Sheet(WIDTH, HEIGHT * len(rows))
    for row, (corrected, bottom, draw) in enumerate(rows):
        for column, (name, title) in enumerate(TITLES.items()):
            chosen = [
                d
                for d in details
                if d["data"] == name and bool(d["corrections"]) == corrected
            ]
            if not chosen:
                continue
            plot = sheet.plot("" if row else title, bottom, "Dice", row, column)
            plot.getAxis("left").enableAutoSIPrefix(False)
            for number, draws in enumerate(_settings(chosen)):
                draw(plot, draws, number)
    sheet.save(path)


def _settings(details: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group the draws of a setting, which follow each other."""
    groups: dict[tuple[Any, int], list[dict[str, Any]]] = defaultdict(list)
    seen: dict[Any, int] = defaultdict(int)
    for detail in details:
        draw = (detail["painted"], detail["draw"])
        seen[draw] += 1
        groups[detail["painted"], seen[draw]].append(detail)
    return list(groups.values())


def _over_seconds(plot: pg.PlotItem, draws: list[dict[str, Any]], number: int) -> None:
    """Draw the network's mean curve, and scikit-image's forest as a dashed line."""
    seconds = [point["mark"] for point in draws[0]["network"]]
    curve(plot, seconds, _mean(draws, "network", "dice"), number)
    forest = _mean(draws, FOREST, "dice")[-1]
    curve(plot, [0, seconds[-1]], [forest, forest], number, dashed=True)


def _over_pixels(plot: pg.PlotItem, draws: list[dict[str, Any]], number: int) -> None:
    """Draw both sides' mean curves, each over what was painted for it."""
    for side, dashed in (("network", False), (FOREST, True)):
        painted, dice = (_mean(draws, side, what) for what in ("painted", "dice"))
        curve(plot, painted, dice, number, dashed=dashed)


def _mean(draws: list[dict[str, Any]], side: str, what: str) -> Any:
    sides = [d["peers"] | {"network": d["network"]} for d in draws]
    return np.mean([[point[what] for point in s[side]] for s in sides], axis=0)


def main() -> None:
    pg.mkQApp()
    draw_figure(
        json.loads(RESULTS.read_text())["details"], Path(sys.argv[1]) / "strokes.png"
    )


if __name__ == "__main__":
    main()
