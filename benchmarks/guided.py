"""Strokes where the network is unsure ("Next") against strokes at random places.

A simulated person goes to a place, paints there, and lets the network learn for some
steps; then the next place. Two kinds of people are measured: one paints a short stroke
of what lies at the place, the other a stroke of each class seen around it. One side
goes where *Next place to paint* says, through the same code as the window; the other
side goes to places drawn evenly from all pixels of all images. Both begin with the same
strokes, learn for as many steps, and are scored on images that nobody painted on.

How *Next* judges a place was chosen on other images (even sections and the other corner
of the membranes, the nuclei of 256 x 256 pixels) and other draws (below 200); when the
last layer is solved anew, on these images with the draws 200 to 213, how it is solved,
with 100 to 146, and its prior, with 180 to 191 and 209 to 218.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from benchmarks.report import Report, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.strokes.datasets import Dataset
    from benchmarks.strokes.study import Plane
    from napari_fcn.data.strokes import StrokeStore
    from napari_fcn.engine.trainer import Trainer
    from napari_fcn.project import Project, ProjectImage

    Place = tuple[int, tuple[int, int]]
    Chooser = Callable[["Study", np.random.Generator], Place]

FIRST_STEPS, STEPS = 20, 10
"""Training steps on the first strokes, and after each further place."""
PLACES = 8
DRAWS = range(420, 434)
"""Seeds; none of them was used before."""
LONGEST = 60
"""Pixels of a stroke."""
PEOPLE = {"what is there": False, "each class": True}
"""What is painted at a place: a stroke of its class, or one of each class around."""
_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the places, at which the sides are compared."""
_EDGE = 256
_AROUND = (6, 16, 40)
"""Pixels around a place in which a stroke of a class may begin, the nearest first."""


@dataclass(frozen=True)
class Case:
    """Images to paint on, and others to score on.

    Attributes
    ----------
    dataset : Dataset
        The images.
    painted, tested : list of Plane
        Which of them; no plane is in both.
    """

    dataset: Dataset
    painted: list[Plane]
    tested: list[Plane]


def run(*, short: bool) -> Report | None:
    """Measure all data that is here (short: one draw of one, three places)."""
    import torch

    cases = list(_cases())
    if not cases:
        return None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that other programs hardly matter, and runs repeat
    try:
        if short:
            return measure(cases[:1], draws=DRAWS[:1], places=3)
        return measure(cases, draws=DRAWS, places=PLACES)
    finally:
        torch.set_num_threads(threads)


def measure(cases: list[Case], draws: Sequence[int], places: int) -> Report:
    """Paint and score both sides on every case; report means over the draws."""
    report = Report(
        "Strokes where the network is unsure against strokes at random places",
        {
            "draws": len(draws),
            "places": places,
            "steps": f"{FIRST_STEPS} + {STEPS} per place",
            "network": "U-Net as in the window, from the shipped weights",
        },
        notes=[
            "Dice of the objects on unseen images, mean over the draws, when a share "
            "of the places was painted, and its mean over all places; *ahead* is by "
            "how much that mean, and *at last* by how much the last Dice, of the "
            "guided side is larger in the same draws, with the standard error. "
            "*Needed* are the pixels that guided strokes took to the "
            "best Dice that random ones had reached with a share of their places, as "
            "a share of what those took; - where they never reached it."
        ],
    )
    for case, (person, every_class) in product(cases, PEOPLE.items()):
        about = {"data": case.dataset.name, "painted": person}
        curves: dict[str, list[list[dict[str, float]]]] = {n: [] for n in CHOOSERS}
        for seed, (side, choose) in product(draws, CHOOSERS.items()):
            study = Study(case, seed, every_class=every_class)
            curve = study.run(choose, places)
            curves[side].append(curve)
            detail = about | {"side": side, "draw": seed}
            _tell(f"{detail}: {curve[-1]}")
            report.details.append(detail | {"curve": curve, "load": load()})
        report.rows += _rows(about, curves)
    return report


def _rows(
    about: dict[str, str], curves: dict[str, list[Any]]
) -> Iterator[dict[str, Any]]:
    """Summarise the sides on one case."""
    means = {side: _mean(found) for side, found in curves.items()}
    for side, found in curves.items():
        mean = means[side]
        last = len(mean) - 1
        row: dict[str, Any] = about | {"side": side}
        for share in (0, *_SHARES):
            row[f"{share:.0%}"] = mean[round(share * last)]["dice"]
        row["mean"] = float(np.mean([_over_places(curve) for curve in found]))
        other = curves["random"] if side == "guided" else None
        row["ahead"] = _ahead(found, other, _over_places) if other else ""
        row["at last"] = _ahead(found, other, _at_last) if other else ""
        worst, best = (f(c[-1]["dice"] for c in found) for f in (min, max))
        row["draws at last"] = f"{worst:.3f} to {best:.3f}"
        row["pixels"] = round(mean[-1]["painted"])
        for share in _SHARES:
            seen = means["random"][: round(share * last) + 1]
            needed = _pixels_needed(mean, seen) if other else 1.0
            row[f"needed {share:.0%}"] = needed
        yield row


def _mean(curves: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    return [
        {key: float(np.mean([point[key] for point in points])) for key in points[0]}
        for points in zip(*curves, strict=True)
    ]


def _over_places(curve: list[dict[str, float]]) -> float:
    return float(np.mean([point["dice"] for point in curve[1:]]))


def _at_last(curve: list[dict[str, float]]) -> float:
    return curve[-1]["dice"]


def _ahead(
    guided: list[Any],
    random: list[Any],
    dice: Callable[[list[dict[str, float]]], float],
) -> str:
    """Return the mean of the paired differences, and its standard error."""
    apart = [dice(one) - dice(other) for one, other in zip(guided, random, strict=True)]
    if len(apart) < 2:
        return f"{apart[0]:+.3f}"
    error = np.std(apart, ddof=1) / np.sqrt(len(apart))
    return f"{np.mean(apart):+.3f} ± {error:.3f}"


def _pixels_needed(
    guided: list[dict[str, float]], random: list[dict[str, float]]
) -> float | str:
    """Return painted pixels for the best Dice of the random side, as a share."""
    best = max(random, key=lambda point: point["dice"])
    if guided[0]["dice"] >= best["dice"]:
        return float(guided[0]["painted"] / best["painted"])
    for before, after in pairwise(guided):
        if after["dice"] >= best["dice"]:
            part = (best["dice"] - before["dice"]) / (after["dice"] - before["dice"])
            more = part * (after["painted"] - before["painted"])
            return float((before["painted"] + more) / best["painted"])
    return "-"


class Study:
    """One draw of first strokes on a case, as a project of its own on disk.

    Parameters
    ----------
    case : Case
        What is painted and scored.
    seed : int
        Decides the first strokes, random places and the training.
    every_class : bool
        Whether a stroke of each class around is painted at a place, or only one.
    """

    def __init__(self, case: Case, seed: int, *, every_class: bool = True) -> None:
        self.case, self.seed, self.every_class = case, seed, every_class
        self.truths = [case.dataset.plane_truth(p) for p in case.painted]
        self.before: list[Any] = []
        self.project: Project
        self.images: list[ProjectImage] = []
        self.stores: list[StrokeStore] = []
        self.trainer: Trainer

    def run(self, choose: Chooser, places: int) -> list[dict[str, float]]:
        """Paint at some places; return Dice and painted pixels after each."""
        with tempfile.TemporaryDirectory() as folder:
            self._make_project(Path(folder))
            random = np.random.default_rng(self.seed)
            first = int(random.integers(len(self.truths)))
            self._paint_first(first, random)
            self._train(FIRST_STEPS)
            curve = [self._score()]
            for _ in range(places):
                number, place = choose(self, random)
                self._paint_at(number, place, random, every_class=self.every_class)
                self._train(STEPS)
                curve.append(self._score())
            return curve

    def _make_project(self, folder: Path) -> None:
        from napari_fcn.data.axes import Axes
        from napari_fcn.project import Project

        self.project = Project.create(folder / "study")
        axes = self.case.dataset.axes.replace("Z", "")
        for number, (index, z) in enumerate(self.case.painted):
            pixels = self.case.dataset.images[index]
            pixels = pixels if z is None else pixels[z]
            path = folder / f"{number}.npy"
            np.save(path, pixels)
            image = self.project.add_image(
                str(number), path, "file", Axes.of(axes), pixels.shape
            )
            self.images.append(image)
            self.stores.append(image.strokes(self.project.folder))

    def _paint_first(self, number: int, random: np.random.Generator) -> None:
        """Paint a stroke of each class somewhere on one image."""
        from benchmarks.strokes.datasets import OBJECT

        objects = np.argwhere(self.truths[number] == OBJECT)
        place = objects[random.integers(len(objects))]
        place = int(place[0]), int(place[1])
        self._paint_at(number, place, random, every_class=True)
        from benchmarks.strokes.study import CLASSES
        from napari_fcn.config import NetworkConfig, TrainingConfig
        from napari_fcn.data.annotations import LabelledImage
        from napari_fcn.engine.trainer import Trainer

        folder = self.project.folder
        items = [
            LabelledImage(image.source(folder, 2), store)
            for image, store in zip(self.images, self.stores, strict=True)
        ]
        self.trainer = Trainer(
            items,
            CLASSES,
            TrainingConfig(seed=self.seed, crop=96, batch=4, held_out=0.0),
            NetworkConfig(),
        )

    def _paint_at(
        self,
        number: int,
        place: tuple[int, int],
        random: np.random.Generator,
        *,
        every_class: bool,
    ) -> None:
        store = self.stores[number]
        painted = np.asarray(store[...])
        truth = self.truths[number]
        paint_around(truth, painted, place, random, every_class=every_class)
        store[...] = painted
        store.flush()
        if hasattr(self, "trainer"):
            self.trainer.refresh({number: None})

    def _train(self, steps: int) -> None:
        for _ in range(steps):
            self.trainer.step()

    def _score(self) -> dict[str, float]:
        from benchmarks.strokes.study import Setting, object_dice, predict_planes

        case = self.case
        predicted = predict_planes(self.trainer.live_model(), case.dataset, case.tested)
        setting = Setting(case.dataset, 0.0, case.painted, case.tested)
        return {
            "dice": object_dice(setting, predicted),
            "painted": float(sum(np.count_nonzero(s[...]) for s in self.stores)),
            "step": float(self.trainer.step_number),
        }


def paint_around(
    truth: NDArray[np.uint8],
    painted: NDArray[np.uint8],
    place: tuple[int, int],
    random: np.random.Generator,
    *,
    every_class: bool = True,
) -> None:
    """Paint short strokes at a place, in place.

    Parameters
    ----------
    truth : (Y, X) uint8
        Classes from 1.
    painted : (Y, X) uint8
        What is painted; changed.
    place : (int, int)
        Row and column.
    random : numpy.random.Generator
        Decides where a stroke begins and turns.
    every_class : bool
        Whether to paint a stroke of each class that is seen around the place, or one of
        what lies there.
    """
    from benchmarks.strokes.annotator import _framed, _stroke

    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    away = np.hypot(rows - place[0], columns - place[1])
    seen = truth[away <= _AROUND[-1]] if every_class else truth[place]
    for value in np.unique(seen):
        depth = ndimage.distance_transform_edt(_framed(truth == value))[1:-1, 1:-1]
        for reach in _AROUND:
            start = np.where((away <= reach) & (painted == 0), depth, 0)
            if start.max() >= 1:
                _stroke(painted, int(value), start, depth, random, LONGEST)
                break


def guided(study: Study, random: np.random.Generator) -> Place:
    """Go where the network says that a stroke would teach most."""
    from napari_fcn.workbench.live import LiveNetwork
    from napari_fcn.workbench.protocol import Suggest, Suggested
    from napari_fcn.workbench.suggest import run_suggest

    trainer, told = study.trainer, []
    network = LiveNetwork(
        trainer.live_model(),
        trainer.compute,
        trainer.step_number,
        learning=True,
        current=trainer.current_network,
    )
    command = Suggest(
        study.project.folder,
        tuple(study.images),
        tuple(study.before),
        len(study.before),
    )
    run_suggest(command, network, told.append, lambda: None)
    if not isinstance(told[-1], Suggested):
        return at_random(study, random)
    found = told[-1]
    study.before.append((found.key, found.region))
    number = [i.key for i in study.images].index(found.key)
    return number, (found.region[0].start, found.region[1].start)


def at_random(study: Study, random: np.random.Generator) -> Place:
    """Go anywhere, each pixel of each image as likely."""
    sizes = np.array([truth.size for truth in study.truths])
    number = int(random.choice(len(sizes), p=sizes / sizes.sum()))
    y, x = (int(random.integers(n)) for n in study.truths[number].shape)
    return number, (y, x)


CHOOSERS: dict[str, Chooser] = {"random": at_random, "guided": guided}


def _cases() -> Iterator[Case]:
    """Pieces of 256 pixels of membranes, nuclei and tissue."""
    from benchmarks.strokes.datasets import (
        dsb2018_fluorescence,
        dsb2018_tissue,
        isbi2012,
    )

    for load_data, choose in (
        (isbi2012, _odd_sections),
        (dsb2018_fluorescence, _larger_images),
        (dsb2018_tissue, _middles),
    ):
        try:
            yield _split(choose(load_data()))
        except FileNotFoundError:
            _tell(f"left out: no images of {load_data.__name__}")


def _odd_sections(data: Dataset) -> Dataset:
    """Take a corner of every second section of a stack."""
    corner = np.s_[1::2, -_EDGE:, -_EDGE:]
    images, truths = list(data.images[0][corner]), list(data.truths[0][corner])
    return replace(data, images=images, truths=truths, axes="YX")


def _larger_images(data: Dataset) -> Dataset:
    """Take the middles of the images that are larger than such a piece."""
    numbers = [n for n, i in enumerate(data.images) if i.shape != (_EDGE, _EDGE)]
    images, truths = ([a[n] for n in numbers] for a in (data.images, data.truths))
    return _middles(replace(data, images=images, truths=truths))


def _middles(data: Dataset) -> Dataset:
    images, truths = (
        [_middle(a) for a in arrays] for arrays in (data.images, data.truths)
    )
    return replace(data, images=images, truths=truths)


def _middle(array: NDArray[Any]) -> NDArray[Any]:
    top, left = ((size - _EDGE) // 2 for size in array.shape[:2])
    return array[top : top + _EDGE, left : left + _EDGE]


def _split(data: Dataset) -> Case:
    """Test on every third image, paint on the others."""
    planes = data.planes
    tested = planes[1::3]
    return Case(data, [p for p in planes if p not in tested], tested)


def _tell(what: object) -> None:
    print(what, file=sys.stderr, flush=True)
