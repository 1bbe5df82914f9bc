"""Counts of a predicted density: per slice, drawn box and class, with their doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.areas import box_of
from napari_fcn.workbench.counting import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fcn.config import ModelConfig
    from napari_fcn.data.source import ImageSource
    from napari_fcn.project.targets import CountBox


def count_density(
    config: ModelConfig, source: ImageSource, density: Any, boxes: Sequence[CountBox]
) -> list[Count]:
    """Sum a density map over slices and boxes.

    Parameters
    ----------
    config : ModelConfig
        Of the density model that made it.
    source : ImageSource
        The image.
    density : array
        Objects per pixel, of label shape, after the classes if there are several.
    boxes : sequence of CountBox
        Drawn on the image.

    Returns
    -------
    list of Count
        For each sample its total, as region 0, then each box by its number.
    """
    assert config.density is not None
    error = config.density.error
    letters = [
        source.label_axes.names[p] for p in source.label_axes.samples(source.ndim)
    ]
    result = []
    for sample in source.samples():
        where = " ".join(f"{a}={i}" for a, i in zip(letters, sample, strict=True))
        for number, region in _regions(source, sample, boxes):
            for index, info in enumerate(config.classes):
                channel = _Channel(density, index, len(config.classes))
                values = source.read_labels(channel, sample, region)
                count = float(np.asarray(values, np.float64).sum())
                result.append(
                    Count(source.name, where, number, info.name, count, error)
                )
    return result


def _regions(
    source: ImageSource, sample: tuple[int, ...], boxes: Sequence[CountBox]
) -> Iterator[tuple[int, tuple[slice, ...]]]:
    yield 0, source.whole()
    for number, box in enumerate(boxes, 1):
        found = box_of(box.corners, source.label_axes, source.label_shape, source.ndim)
        if found is not None and found[0] == sample:
            yield number, found[1]


class _Channel:
    """One of the classes of a density, or the only one."""

    def __init__(self, array: Any, index: int, count: int) -> None:
        self._array, self._index, self._several = array, index, count > 1
        self.shape = array.shape[1:] if self._several else array.shape
        self.dtype = array.dtype

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return self._array[(self._index, *key) if self._several else key]
