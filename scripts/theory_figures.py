"""Draw the figures of the pages on networks, losses and measures.

All of them show what the package's own code computes, on generated images. Needs a
screen; `xvfb-run -a` gives one.

    python scripts/theory_figures.py docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
import torch
from qtpy.QtWidgets import QGraphicsRectItem
from sheet import COLOURS, Sheet, curve

from napari_fcn import NetworkConfig, TrainingConfig, train
from napari_fcn.config import NormalisationConfig
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.normalisation import measure
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.equivariance import effect_by_distance, frame_effect
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.partition_scores import compare_partitions, segments_between
from napari_fcn.engine.weight_maps import border_weights
from napari_fcn.networks import build_network, effective_field, receptive_field
from napari_fcn.networks.listing import list_networks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_fcn.engine.model import Model

STEPS = 60
EDGE = 192
NETWORK = NetworkConfig(width=8, depth=2)


def blobs() -> NDArray[np.float32]:
    """Return a normalised generated image (1, Y, X)."""
    source = ImageSource(samples.blobs(1, EDGE)[0][0], Axes.of("YX"), 2)
    normal = measure(source, NormalisationConfig())
    return normal.apply(source.read((), source.whole()))


def trained() -> Model:
    images, truths = samples.blobs(1, EDGE)
    return train(
        images[0],
        samples.strokes(truths, 40)[0],
        steps=STEPS,
        network=NETWORK,
        config=TrainingConfig(crop=64, batch=4, held_out=0, precision="float32"),
    )


def networks(folder: Path) -> None:
    """Weights against receptive field of every network."""
    sheet = Sheet(760, 430)
    plot = sheet.plot("", "receptive field (pixels)", "weights")
    plot.setLogMode(True, True)
    plot.setXRange(np.log10(12), np.log10(1100))
    plot.setYRange(4, 8)
    ticks = (20, 50, 100, 200, 500, 1000)
    plot.getAxis("bottom").setTicks([[(np.log10(t), str(t)) for t in ticks]])
    alike: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in list_networks():
        size, weights = row["receptive_field"][0], row["parameters"]
        plot.plot([size], [weights], symbol="o", symbolBrush=COLOURS[0], symbolSize=9)
        near = (round(6 * np.log10(size)), round(3 * np.log10(weights)))
        alike.setdefault(near, []).append(row)
    for rows in alike.values():  # one label for those that lie together
        text = pg.TextItem(
            "\n".join(r["name"] for r in rows), "#333333", anchor=(0, 0.5)
        )
        size = max(r["receptive_field"][0] for r in rows)
        middle = np.mean([np.log10(r["parameters"]) for r in rows])
        text.setPos(np.log10(size) + 0.03, middle)
        plot.addItem(text)
    sheet.save(folder / "networks.png")


def depths(folder: Path) -> None:
    """Receptive field against depth."""
    sheet = Sheet(520, 330)
    plot = sheet.plot("", "depth (cnn: layers)", "receptive field (pixels)")
    plot.setLogMode(False, True)
    plot.addLegend(offset=(20, 5))
    depth = range(1, 7)
    for number, (name, field) in enumerate(
        (("unet", "depth"), ("unet-nearest", "depth"), ("cnn", "layers"))
    ):
        sizes = []
        for d in depth:
            with torch.device("meta"):
                network = build_network(NetworkConfig(name=name, **{field: d}))
            sizes.append(receptive_field(network).size[0])
        curve(plot, depth, sizes, number, name)
    sheet.save(folder / "depth.png")


def fields(folder: Path, model: Model) -> None:
    """The effective receptive field of random and of trained weights."""
    image, place = blobs(), (140, 104)  # in an object
    torch.manual_seed(0)
    fresh = build_network(NETWORK).eval()
    field = receptive_field(fresh)
    sheet = Sheet(900, 330)
    panels = [sheet.picture("image", image[0], 1, "gray")]
    for network, what in ((fresh, "random"), (model.network, "trained")):
        seen = effective_field(network, image[None], place)
        title = f"{what} weights: about {seen.size:.0f} pixels"
        values = np.sqrt(seen.weights / seen.weights.max())
        panels.append(sheet.picture(title, values, 1, "inferno"))
    for panel in panels:
        y, x = (p - b for p, b in zip(place, field.before, strict=True))
        box = QGraphicsRectItem(x, y, field.size[1], field.size[0])
        box.setPen(pg.mkPen("#ffd500", width=2))
        panel.addItem(box)
        panel.setYRange(place[0] - 46, place[0] + 46)
        panel.setXRange(place[1] - 46, place[1] + 46)
    sheet.save(folder / "effective-field.png")


def frames(folder: Path, model: Model) -> None:
    """What shifts and borders change."""
    image = blobs()
    stride, halo = model.receptive_field.stride[0], model.receptive_field.halo[0]
    shift = {n: (slice(n, None), slice(n, None)) for n in (stride, stride - 1)}
    cases = {
        f"shift by {stride}, the stride": shift[stride],
        f"shift by {stride - 1}": shift[stride - 1],
        "borders cut off": (slice(48, 144), slice(48, 144)),
    }
    sheet = Sheet(900, 560)
    for title, frame in cases.items():
        effect = frame_effect(model, image, frame)
        sheet.picture(title, effect, 0.3, "inferno")
    sheet.widget.nextRow()
    for frame in cases.values():
        effect = frame_effect(model, image, frame)
        plot = sheet.plot("", "distance from border (pixels)", "largest change", 1)
        curve(plot, range(48), effect_by_distance(effect)[:48], 0)
        plot.addLine(
            x=halo, pen=pg.mkPen("#888888", style=pg.QtCore.Qt.PenStyle.DotLine)
        )
        plot.setYRange(0, 0.5)
    sheet.save(folder / "frames.png")


def losses(folder: Path) -> None:
    """Loss of one pixel, and of a region, against its probability."""
    p = torch.linspace(0.01, 0.99, 99)
    sheet = Sheet(900, 330)
    one = torch.ones(1, 1, 1, dtype=torch.int64)
    region = torch.zeros(1, 1, 400, dtype=torch.int64)
    region[..., :100] = 1
    for title, target, names in (
        ("one pixel", one, ("ce", "focal:1", "focal:2")),
        (
            "a region, equally sure everywhere",
            region,
            ("dice", "jaccard", "power-jaccard:1.5", "power-jaccard:2"),
        ),
    ):
        plot = sheet.plot(title, "probability of the true class", "loss")
        plot.addLegend(offset=(-10, 5))
        for number, name in enumerate(names):
            loss = build_loss(name)
            values = [float(loss(_logits(x, target), target)) for x in p]
            curve(plot, p, values, number, name)
    sheet.save(folder / "losses.png")


def _logits(sure: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return logits (1, 2, 1, P) that give the true class this probability."""
    of_one = torch.where(target[0] == 1, sure, 1 - sure)
    return torch.stack((1 - of_one, of_one)).log()[None]


def weights(folder: Path) -> None:
    """The border weight map on touching objects."""
    grid = np.mgrid[:96, :160]
    objects = np.zeros((96, 160), int)
    for number, (y, x, r) in enumerate(((50, 40, 24), (48, 91, 25), (55, 132, 14)), 1):
        objects[((grid - np.array([y, x])[:, None, None]) ** 2).sum(0) < r**2] = number
    sheet = Sheet(860, 290)
    sheet.picture("objects", objects, 3, "viridis")
    sheet.picture("weight of each pixel", border_weights(objects), 10, "inferno")
    sheet.save(folder / "border-weights.png")


def measures(folder: Path) -> None:
    """A small gap: little for Dice, much for V-Rand."""
    cells = np.ones((64, 64), bool)
    cells[:, 31:33] = cells[31:33] = False
    gap, thick = cells.copy(), cells.copy()
    gap[12:18, 31:33] = True
    thick[:, 29:35] = thick[29:35] = False
    truth = segments_between(~cells)
    sheet = Sheet(900, 330)
    cases = {"truth": cells, "a gap": gap, "thick membranes": thick}
    for title, found in cases.items():
        segments = segments_between(~found)
        score = compare_partitions(truth, segments)
        dice = 2 * (~cells & ~found).sum() / ((~cells).sum() + (~found).sum())
        words = f"{title}: Dice {dice:.2f}, V-Rand {score.v_rand:.2f}"
        sheet.picture(words, np.where(found, segments, 0), 4, "viridis")
    sheet.save(folder / "measures.png")


def draw(folder: Path, names: Iterable[str] = ()) -> None:
    """Draw all figures, or only those of these functions."""
    pg.setConfigOptions(background="w", foreground="#333333", antialias=True)
    pg.mkQApp()
    folder.mkdir(parents=True, exist_ok=True)
    simple = {f.__name__: f for f in (networks, depths, losses, weights, measures)}
    learned = {f.__name__: f for f in (fields, frames)}
    names = list(names) or [*simple, *learned]
    for name in simple.keys() & set(names):
        simple[name](folder)
    if wanted := learned.keys() & set(names):
        model = trained()
        for name in wanted:
            learned[name](folder, model)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), sys.argv[2:])
