"""Counting objects in images, in regions of them, and finding the objects."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.dots import Dots
from napari_fcn.data.files import atomic_path
from napari_fcn.data.normalisation import measure
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.outputs import choose_output, density_from_output
from napari_fcn.engine.peaks import find_peaks
from napari_fcn.engine.predict import check_channels, predict_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor

    from napari_fcn.config import CountError, DeviceName, ModelConfig
    from napari_fcn.data.source import ImageSource
    from napari_fcn.engine.model import Model

_COLUMNS = (
    "image", "slice", "region", "class", "count", "deviation", "lower", "upper",
)  # fmt: skip


@dataclass(frozen=True)
class Count:
    """How many objects of a class are in a region.

    Attributes
    ----------
    image : str
        Which image.
    slice : str
        Which sample of it, such as ``T=3``; empty if it has but one.
    region : int
        Its number in the image of regions; 0 for the whole sample.
    label : str
        The name of the class.
    count : float
        The integral of the density.
    error : CountError
        What is known of its error.
    """

    image: str
    slice: str
    region: int
    label: str
    count: float
    error: CountError

    @property
    def deviation(self) -> float:
        """Standard deviation of the count's error."""
        return self.error.deviation(self.count)

    @property
    def reach(self) -> float:
        """How far from the count 95 of 100 true counts lie at the most."""
        return self.error.reach(self.count)

    def as_row(self) -> dict[str, Any]:
        """Return the columns of a table, with the limits of the true count."""
        return {
            "image": self.image,
            "slice": self.slice,
            "region": self.region,
            "class": self.label,
            "count": round(self.count, 3),
            "deviation": round(self.deviation, 3),
            "lower": round(max(0.0, self.count - self.reach), 3),
            "upper": round(self.count + self.reach, 3),
        }


@dataclass(frozen=True)
class Counted:
    """What was counted in an image.

    Attributes
    ----------
    counts : list of Count
        For each sample, region and class.
    objects : Dots
        Peaks of the density, along the axes of the labels; none unless asked for.
    """

    counts: list[Count]
    objects: Dots


def count_image(
    model: Model,
    source: ImageSource,
    *,
    regions: Any = None,
    peaks: bool = False,
    device: DeviceName = "auto",
    tile: int | None = None,
) -> Counted:
    """Count the objects of an image.

    Parameters
    ----------
    model : Model
        For counting.
    source : ImageSource
        The image.
    regions : integer array, optional
        Of the image's label shape: counts are of each number in it but 0; of whole
        samples by default.
    peaks : bool
        Whether to find the single objects, too; then a sample at a time is held in
        memory.
    device, tile
        As in `predict_source`.

    Raises
    ------
    UserError
        If the model is not for counting, or the image does not fit it.
    """
    choose_output(model.config, "density")
    check_channels(model, source)
    numbers = [0] if regions is None else sorted({*np.unique(regions).tolist()} - {0})
    normalisation = measure(source, model.config.normalisation)
    compute = choose_compute(device).exact()
    counts: list[Count] = []
    found: list[Dots] = []
    for sample in source.samples():
        tiles = predict_tiles(
            model,
            source,
            sample=sample,
            normalisation=normalisation,
            compute=compute,
            tile=tile,
        )
        sums, whole = _sums(
            model.config, source, sample, regions, numbers, tiles, peaks
        )
        counts += _rows(model.config, source, sample, numbers, sums)
        if whole is not None:
            found.append(_objects(model.config, source, sample, whole))
    places = [d.places for d in found] or [np.zeros((0, len(source.label_shape)))]
    values = [d.values for d in found] or [np.zeros(0, np.int64)]
    return Counted(counts, Dots(np.concatenate(places), np.concatenate(values)))


def write_counts(path: Path, counts: Iterable[Count]) -> None:
    """Write counts to a CSV file; raises `UserError` if it cannot be written."""
    with atomic_path(path) as temporary:  # noqa: SIM117 - closed before it is renamed
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(c.as_row() for c in counts)


def _sums(
    config: ModelConfig,
    source: ImageSource,
    sample: tuple[int, ...],
    regions: Any,
    numbers: list[int],
    tiles: Iterable[tuple[tuple[slice, ...], Tensor, float]],
    peaks: bool,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Return the sums (regions, classes), and the density if its peaks are wanted."""
    sums = np.zeros((len(numbers), len(config.classes)))
    whole = None
    if peaks:
        whole = np.zeros((len(config.classes), *source.spatial_shape), np.float32)
    for core, output, _ in tiles:
        density = density_from_output(output, config)
        flat = density.reshape(len(density), -1).astype(np.float64)
        if whole is not None:
            whole[(slice(None), *core)] = density
        if regions is None:
            sums[0] += flat.sum(1)
            continue
        labels = source.read_labels(regions, sample, core).ravel()
        for row, number in enumerate(numbers):
            sums[row] += flat[:, labels == number].sum(1)
    return sums, whole


def _rows(
    config: ModelConfig,
    source: ImageSource,
    sample: tuple[int, ...],
    numbers: list[int],
    sums: np.ndarray[Any, Any],
) -> list[Count]:
    assert config.density is not None
    error = config.density.error
    letters = [
        source.label_axes.names[p] for p in source.label_axes.samples(source.ndim)
    ]
    where = " ".join(f"{a}={i}" for a, i in zip(letters, sample, strict=True))
    return [
        Count(source.name, where, number, info.name, n, error)
        for number, row in zip(numbers, sums, strict=True)
        for info, n in zip(config.classes, map(float, row), strict=True)
    ]


def _objects(
    config: ModelConfig,
    source: ImageSource,
    sample: tuple[int, ...],
    density: np.ndarray[Any, Any],
) -> Dots:
    """Return the peaks of a sample along the axes of the labels."""
    assert config.density is not None
    axes, ndim = source.label_axes, source.ndim
    places, values = [], []
    for info, widths, channel in zip(
        config.classes, config.density.widths, density, strict=True
    ):
        peaks = find_peaks(channel, widths)
        full = np.zeros((len(peaks), len(source.label_shape)))
        full[:, list(axes.samples(ndim))] = sample
        full[:, list(axes.spatial(ndim))] = peaks
        places.append(full)
        values.append(np.full(len(peaks), info.value, np.int64))
    return Dots(np.concatenate(places), np.concatenate(values))
