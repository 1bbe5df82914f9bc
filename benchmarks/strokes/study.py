"""One draw of strokes: what the network makes of it over time, and what the forest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.strokes import forest
from benchmarks.strokes.annotator import careful_strokes, corrective_strokes
from benchmarks.strokes.datasets import BACKGROUND, OBJECT, Dataset
from napari_fcn.config import TrainingConfig, classes_from_values
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.engine.events import Event, Stepped
from napari_fcn.engine.predict import predict_source
from napari_fcn.engine.train import CancelToken, train

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import NetworkConfig
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.trainer import Trainer

    Plane = tuple[int, int | None]
    Labels = dict[int, NDArray[np.uint8]]
    Predicted = Mapping[int, NDArray[np.integer[Any]]]

CLASSES = classes_from_values([BACKGROUND, OBJECT])


@dataclass(frozen=True)
class Setting:
    """What is painted and tested.

    Attributes
    ----------
    dataset : Dataset
        The images.
    share : float
        Of the pixels of each painted plane.
    painted : list of Plane
        Planes that get strokes.
    tested : list of Plane
        Planes that are scored; nothing is painted there.
    """

    dataset: Dataset
    share: float
    painted: Sequence[Plane]
    tested: Sequence[Plane]

    def blank(self) -> Labels:
        """Return empty labels of the images that are painted."""
        numbers = sorted({number for number, _ in self.painted})
        return {n: np.zeros_like(self.dataset.truths[n]) for n in numbers}

    def draw(self, seed: int) -> Labels:
        """Return one draw of careful strokes, labels by image."""
        labels, random = self.blank(), np.random.default_rng(seed)
        for plane in self.painted:
            truth = self.dataset.plane_truth(plane)
            view(labels, plane)[...] = careful_strokes(truth, self.share, random)
        return labels


def view(arrays: Mapping[int, NDArray[Any]], plane: Plane) -> NDArray[Any]:
    """Return the plane of an array, as a view."""
    number, z = plane
    return arrays[number] if z is None else arrays[number][z]


def object_dice(setting: Setting, predicted: Predicted) -> float:
    """Return the Dice coefficient of the objects, pooled over the tested planes."""
    overlap = total = 0
    for plane in setting.tested:
        truth = setting.dataset.plane_truth(plane) == OBJECT
        found = view(predicted, plane) == OBJECT
        overlap += int((truth & found).sum())
        total += int(truth.sum() + found.sum())
    return 2 * overlap / max(total, 1)


def predict_planes(
    model: Model, dataset: Dataset, planes: Iterable[Plane]
) -> dict[int, NDArray[np.integer[Any]]]:
    """Predict the images, or sections of a 2D stack, that hold the planes."""
    planes = list(planes)
    found: dict[int, NDArray[np.integer[Any]]] = {}
    for number in sorted({number for number, _ in planes}):
        source = dataset.source(number)
        out = np.zeros(source.label_shape, np.uint8)
        wanted = {(z,) for n, z in planes if n == number}
        skip = dataset.ndim == 2 and "Z" in dataset.axes
        predict_source(
            model,
            source,
            out,
            done=lambda sample, w=wanted, s=skip: s and sample not in w,
        )
        found[number] = out
    return found


@dataclass
class Snapshots:
    """Scores a run whenever its training time passes a mark, then stops it.

    Scoring, and painting corrections, happens in the callback of the run, whose time
    does not count.

    Attributes
    ----------
    setting : Setting
        What is tested.
    marks : sequence of float
        Seconds of training.
    labels : dict
        What the run learns from; corrections are painted into it.
    corrections : int
        Strokes added to each painted plane at each mark but the last.
    seed : int
        Of the corrections.
    """

    setting: Setting
    marks: Sequence[float]
    labels: Labels
    corrections: int = 0
    seed: int = 0
    cancel: CancelToken = field(default_factory=CancelToken)
    rows: list[dict[str, float]] = field(default_factory=list)

    def __call__(self, event: Event, trainer: Trainer | None) -> None:
        if not isinstance(event, Stepped) or trainer is None:
            return
        if event.seconds < self.marks[len(self.rows)]:
            return
        model, setting = trainer.live_model(), self.setting
        predicted = predict_planes(model, setting.dataset, setting.tested)
        self.rows.append(
            {
                "mark": self.marks[len(self.rows)],
                "step": event.step,
                "dice": object_dice(setting, predicted),
                "painted": painted_pixels(self.labels),
            }
        )
        if len(self.rows) == len(self.marks):
            self.cancel.cancel()
        elif self.corrections:
            shown = predict_planes(model, setting.dataset, setting.painted)
            seed = self.seed + 1000 * len(self.rows)
            correct(setting, self.labels, shown, self.corrections, seed)
            trainer.refresh(dict.fromkeys(range(len(self.labels))))


def train_on(
    setting: Setting,
    labels: Labels,
    marks: Sequence[float],
    seed: int,
    network: NetworkConfig,
    corrections: int = 0,
) -> list[dict[str, float]]:
    """Train as the window does, until stopped, and score at the marks (seconds)."""
    labels = {n: a.copy() for n, a in labels.items()}
    snapshots = Snapshots(setting, marks, labels, corrections, seed)
    images = [LabelledImage(setting.dataset.source(n), a) for n, a in labels.items()]
    train(
        images,
        CLASSES,
        config=TrainingConfig(seed=seed),
        network=network,
        callback=snapshots,
        cancel=snapshots.cancel,
    )
    return snapshots.rows


def painted_pixels(labels: Labels) -> int:
    """Return how many pixels are painted."""
    return sum(int(np.count_nonzero(a)) for a in labels.values())


class ForestSide:
    """A peer on the same strokes; the features of each plane are kept."""

    def __init__(self, dataset: Dataset, peer: forest.Peer = forest.PEERS[0]) -> None:
        self._dataset = dataset
        self.peer = peer
        self._features: dict[Any, NDArray[np.float32]] = {}
        self._shown: Predicted = {}

    def features(self, plane: Plane) -> NDArray[np.float32]:
        """Return the features of a 2D plane, or of a volume for 3D."""
        number, z = plane
        flat = self._dataset.ndim == 2
        key = plane if flat else (number, None)
        if key not in self._features:
            image = self._dataset.images[number]
            image = image[z] if flat and z is not None else image
            colour = self._dataset.axes.endswith("S")
            self._features[key] = self.peer.features(image, colour=colour)
        found = self._features[key]
        return found if flat or z is None else found[z]

    def score(self, setting: Setting, labels: Labels, seed: int) -> tuple[float, float]:
        """Return Dice on the tested planes, and the seconds the fit took."""
        seen = [self.features(plane) for plane in setting.painted]
        start = time.perf_counter()
        painted = [view(labels, p) for p in setting.painted]
        fitted = forest.fit(painted, seen, seed, self.peer.deepest)
        seconds = time.perf_counter() - start
        predicted = self._predict(fitted, setting.tested)
        self._shown = self._predict(fitted, setting.painted)
        return object_dice(setting, predicted), seconds

    def rounds(
        self, setting: Setting, labels: Labels, seed: int, rounds: int, strokes: int
    ) -> list[dict[str, float]]:
        """Return Dice and painted pixels of each fit; then strokes on its errors."""
        labels, found = {n: a.copy() for n, a in labels.items()}, []
        for done in range(1, rounds + 1):
            dice, _ = self.score(setting, labels, seed)
            found.append({"dice": dice, "painted": painted_pixels(labels)})
            correct(setting, labels, self._shown, strokes, seed + 1000 * done)
        return found

    def _predict(self, fitted: Any, planes: Sequence[Plane]) -> Predicted:
        numbers = {number for number, _ in planes}
        found = {n: np.zeros_like(self._dataset.truths[n]) for n in numbers}
        for plane in planes:
            view(found, plane)[...] = forest.predict(fitted, self.features(plane))
        return found


def correct(
    setting: Setting, labels: Labels, predicted: Predicted, strokes: int, seed: int
) -> None:
    """Add strokes on the largest errors of each painted plane, in place."""
    random = np.random.default_rng(seed)
    for plane in setting.painted:
        truth = setting.dataset.plane_truth(plane)
        shown = np.where(view(predicted, plane) == OBJECT, OBJECT, BACKGROUND)
        target = view(labels, plane)
        target[...] = corrective_strokes(truth, shown, target, strokes, random)
