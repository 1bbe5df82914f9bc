"""Run benchmarks by name, print their tables and keep their results."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from benchmarks.report import RESULTS, Report

BENCHMARKS = {
    "training": "speed of a training step and of the live prediction",
    "prediction": "speed of a prediction with all that shipped weights come with",
    "patches": "one pass of the patch classifier against its sliding window",
    "networks": "all networks on membranes at equal time",
    "strokes": "accuracy from few strokes against random forests",
    "guided": "strokes where the network is unsure against random ones",
    "counting": "error of counts over images and over dots clicked",
    "regression": "predicted stains, and noise removed, against classical denoisers",
    "engine": "time from Train to the first overlay",
    "painting": "strokes on a huge stack against napari's numpy layer",
    "gui": "gaps in the window's event loop",
}
"""Modules of this package, each with ``run(*, short: bool) -> Report | None``.

None means that it could not be run here; the module has said why.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=_help())
    parser.add_argument(
        "--short", action="store_true", help="a few minutes; results are not kept"
    )
    given = parser.parse_args()
    for name in given.names or _available():
        if name not in _available():
            parser.error(f"there is no benchmark {name!r}: choose among {_help()}")
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        report: Report | None = module.run(short=given.short)
        if report is None:
            continue
        print(report.as_text(), flush=True)
        if not given.short:
            print(f"kept as {report.save(RESULTS / name)}")


def _available() -> list[str]:
    return [n for n in BENCHMARKS if importlib.util.find_spec(f"benchmarks.{n}")]


def _help() -> str:
    return ", ".join(_available())


if __name__ == "__main__":
    main()
