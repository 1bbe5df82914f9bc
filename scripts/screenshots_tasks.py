"""Take the pictures of counting and of image to image from the real window.

The images are generated. Needs a screen; `xvfb-run -a` gives one.

    python scripts/screenshots_tasks.py docs/images
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import napari
import numpy as np
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter
from screenshots import wait

from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.widgets.host import Host
from napari_fcn.widgets.train_dock import TrainDock
from napari_fcn.workbench.process import EngineProcess
from napari_fcn.workbench.session import Workbench

SIZE = 256
STEPS = 120


def cells(width: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Bright spots, some of which overlap, and where they are."""
    random = np.random.default_rng(0)
    places = random.uniform(6, SIZE - 6, (140, 2))
    grid = np.mgrid[:SIZE, :SIZE]
    image = np.zeros((SIZE, SIZE))
    for place in places:
        distance = ((grid - place[:, None, None]) ** 2).sum(0)
        image += np.exp(-distance / (2 * width**2))
    return image, places


def open_window(home: Path) -> tuple[napari.Viewer, Host, TrainDock]:
    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(1500, 1000)
    start = partial(EngineProcess, nice=0)  # gives way to nothing else
    host = Host(viewer, Workbench(home, start), window)
    dock = TrainDock(viewer, host)
    viewer.window.add_dock_widget(dock, name="Label & Train")
    return viewer, host, dock


def train(host: Host, dock: TrainDock) -> None:
    book = host.workbench
    network, training = NetworkConfig(width=8), TrainingConfig(crop=64, batch=4)
    book.project.update(network=network, training=training)
    dock.settings.load(network, training)
    wait(lambda: book.status.warm)
    dock.toggle()
    wait(
        lambda: book.status.step > STEPS and book.status.score is not None,
        lambda: book.status.step,
    )
    book.pause()
    wait(lambda: book.status.state == "paused")
    host.viewer.reset_view()
    QTest.qWait(4000)


def take_counting(folder: Path, home: Path) -> None:
    viewer, host, dock = open_window(home)
    image, places = cells()
    noise = np.random.default_rng(1).normal(0.1, 0.03, image.shape)
    viewer.add_image((image + noise).astype(np.float32), name="cells")
    dock.task_choice.chosen.emit("density")
    dock.start()
    layers = host.scene.targets
    half = SIZE // 2
    layers.areas.add_rectangles(np.array([[0, 0], [SIZE - 1, half]]))
    layers.dots.add(places[places[:, 1] < half])
    layers.boxes.add_rectangles(np.array([[20, 140], [120, 240]]))
    layers.boxes.add_rectangles(np.array([[150, 150], [230, 220]]))
    train(host, dock)
    inside = (places >= (19.5, 139.5)) & (places < (120.5, 240.5))
    dock.count_panel.correct(0, 2, float(inside.all(1).sum()))
    QTest.qWait(500)
    viewer.screenshot(str(folder / "counting.png"), canvas_only=False, flash=False)
    host.close()
    viewer.close()


def take_images(folder: Path, home: Path) -> None:
    viewer, host, dock = open_window(home)
    clean, _ = cells(4.0)
    noise = np.random.default_rng(1).normal(0, 0.01, clean.shape)
    blurred = gaussian_filter(clean, 4) + noise
    viewer.add_image((300 + 900 * clean).astype(np.float32), name="sharp")
    viewer.layers["sharp"].visible = False
    viewer.add_image(blurred.astype(np.float32), name="blurred")
    dock.task_choice.chosen.emit("regression")
    dock.image_box.choice.setCurrentText("blurred")
    dock.start()
    dock.regress_panel.choice.setCurrentText("sharp")
    dock.regress_panel.add_target()
    area = np.array([[0, 0], [SIZE - 1, 150]])
    host.scene.targets.areas.add_rectangles(area)
    train(host, dock)
    viewer.screenshot(
        str(folder / "image-to-image.png"), canvas_only=False, flash=False
    )
    host.close()
    viewer.close()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for take in (take_counting, take_images):
        with tempfile.TemporaryDirectory() as home:
            take(folder, Path(home))


if __name__ == "__main__":
    main()
