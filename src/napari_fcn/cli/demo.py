"""The verb ``demo``."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import add_json, add_verb, positive
from napari_fcn.cli.progress import tell
from napari_fcn.console import note

if TYPE_CHECKING:
    import argparse


def add_demo(verbs: Any) -> None:
    """Add the verb ``demo`` and its arguments."""
    parser = add_verb(verbs, "demo", run_demo, "see the whole job on a real image")
    parser.add_argument("--headless", action="store_true", help="without a window")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for what it makes",
    )
    parser.add_argument(
        "--seconds",
        type=positive(float),
        default=30,
        metavar="N",
        help="seconds of training",
    )
    add_json(parser)


def run_demo(options: argparse.Namespace) -> dict[str, Any]:
    """Do the whole job on a real image: in a window if there is a screen."""
    if not options.headless and not options.json:
        missing = _why_no_window()
        if not missing:
            window = [sys.executable, "-m", "napari_fcn.widgets.demo"]
            if subprocess.run(window, check=False).returncode == 0:
                return {"window": True}
            missing = "the window could not be opened"
        note(f"Without a window, since {missing}.")
    from napari_fcn.workbench.demo import run_headless

    result = run_headless(options.out, options.seconds, tell)
    for name, value in result.items():
        note(f"{name}: {value}")
    return result


def _why_no_window() -> str:
    """Return what is missing for a window; empty if nothing is."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, screens)):
        return "there is no screen"
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed (pip install 'napari-fcn[gui]')"
    return ""
