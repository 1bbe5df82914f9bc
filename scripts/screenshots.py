"""Take the pictures of the guide from the real window.

Opens napari with the sample, trains for some seconds, applies the network, and saves a
picture of the whole window and of each dock. Needs a screen; `xvfb-run -a` gives one.

    python scripts/screenshots.py docs/images
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget

from napari_fcn.widgets.apply_dock import ApplyDock
from napari_fcn.widgets.correct_dock import CorrectDock
from napari_fcn.widgets.field_view import BOX, HEAT
from napari_fcn.widgets.frame_view import EFFECT
from napari_fcn.widgets.host import Host
from napari_fcn.widgets.network_dock import NetworkDock
from napari_fcn.widgets.project_dock import ProjectDock
from napari_fcn.widgets.sample_data import tissue_with_strokes
from napari_fcn.widgets.train_dock import TrainDock
from napari_fcn.workbench.session import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 25
PATIENCE = 300
"""Seconds without any progress, on a computer that is busy with other things, too."""


def wait(
    condition: Callable[[], bool], progress: Callable[[], object] = lambda: None
) -> None:
    """Wait for something as long as there is progress."""
    end, before = time.monotonic() + PATIENCE, progress()
    while not condition():
        if progress() != before:
            end, before = time.monotonic() + PATIENCE, progress()
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there")
        QTest.qWait(50)


def take(folder: Path, home: Path) -> None:
    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(1400, 900)
    book = Workbench(home)
    host = Host(viewer, book, window)
    train = TrainDock(viewer, host)
    viewer.window.add_dock_widget(train, name="Label & Train")
    for data, options, kind in tissue_with_strokes():
        getattr(viewer, f"add_{kind}")(data, **options)
    wait(lambda: book.status.warm)
    train.start()
    train.toggle()
    wait(lambda: book.status.seconds > SECONDS, lambda: book.status.step)
    QTest.qWait(1000)
    window.grab().save(str(folder / "window.png"))
    train.grab().save(str(folder / "train-dock.png"))
    book.stop()
    wait(lambda: book.status.state == "ready")
    take_project(folder, host)
    take_comparison(folder, host, train)
    apply = ApplyDock(viewer, host)
    viewer.window.add_dock_widget(apply, name="Apply")
    QTest.qWait(500)
    apply.apply()
    wait(lambda: host.scene.masks is not None and not book.status.job)
    QTest.qWait(500)
    viewer.screenshot(str(folder / "applied.png"), canvas_only=False, flash=False)
    apply.grab().save(str(folder / "apply-dock.png"))
    take_network(folder, host)
    host.close()
    viewer.close()


def take_project(folder: Path, host: Host) -> None:
    """The docks Project and Correct, and where the network is unsure."""
    for name, kind in (("project", ProjectDock), ("correct", CorrectDock)):
        dock = kind(host.viewer, host)
        host.viewer.window.add_dock_widget(dock, name=name.title())
        QTest.qWait(700)
        dock.grab().save(str(folder / f"{name}-dock.png"))
    correct = dock
    correct.unsure_check.setChecked(True)
    correct.next_button.click()
    wait(lambda: "Paint inside the ring" in correct.message.text())
    QTest.qWait(3000)
    host.viewer.window._qt_window.grab().save(str(folder / "unsure.png"))
    correct.unsure_check.setChecked(False)
    host.marker.hide()


def take_comparison(folder: Path, host: Host, train: TrainDock) -> None:
    """What the network says after some more seconds, against what it said before."""
    book, window = host.workbench, host.viewer.window._qt_window
    before = book.status.seconds
    train.toggle()
    wait(lambda: book.status.seconds > before + SECONDS, lambda: book.status.step)
    book.stop()
    wait(lambda: book.status.state == "ready")
    host.viewer.reset_view()
    QTest.qWait(500)
    project = window.findChild(ProjectDock)
    project.model_list.setCurrentRow(1)
    project.compare()
    wait(lambda: "They differ" in project.message.text())
    docks = window.findChildren(QDockWidget)
    next(dock for dock in docks if dock.isAncestorOf(project)).raise_()
    QTest.qWait(1000)
    window.grab().save(str(folder / "comparison.png"))
    host.scene.end_comparison()


def take_network(folder: Path, host: Host) -> None:
    """The Network dock, with what the network sees in the middle of the image."""
    viewer = host.viewer
    dock = NetworkDock(viewer, host)
    viewer.window.add_dock_widget(dock, name="Network")
    if host.scene.masks is not None:
        host.scene.masks.visible = False
    dock.box_check.setChecked(True)
    dock.heat_check.setChecked(True)
    wait(lambda: HEAT in viewer.layers and BOX in viewer.layers)
    dock.shift.setValue(3)
    dock.try_frame()
    wait(lambda: EFFECT in viewer.layers)
    viewer.layers[EFFECT].visible = False
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2
    viewer.layers.selection.active = host.scene.layer
    for layer in viewer.layers:
        layer.visible = layer.visible and "paint here" not in layer.name
    QTest.qWait(500)
    viewer.screenshot(str(folder / "receptive-field.png"), size=(560, 760), flash=False)
    dock.grab().save(str(folder / "network-dock.png"))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        take(folder, Path(home))
    for path in sorted(folder.glob("*.png")):
        print(f"{path}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
