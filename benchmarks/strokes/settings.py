"""What is painted and what is tested, for each data set."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.strokes.datasets import (
    Dataset,
    cells3d,
    data_folder,
    dsb2018_fluorescence,
    dsb2018_tissue,
    isbi2012,
    nuclei2d,
    nuclei3d,
)
from benchmarks.strokes.study import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECTIONS = {
    "": ((0,), (0, 10, 20), (5, 15, 25)),
    ", other sections": ((13,), (3, 13, 23), (9, 19, 29)),
}
"""Of electron microscopy: one section, three, and those to test on."""


def choose(*, short: bool, tell: Callable[[str], None]) -> list[Setting]:
    """Return the settings whose data is here, and tell of those that are not."""
    found: list[Setting] = []
    for name, settings in SETTINGS.items():
        try:
            found += list(settings())
        except FileNotFoundError:
            tell(f"left out: no images of {name} under {data_folder()}")
        if short and found:
            return found[:1]
    return found


def _electron_microscopy() -> Iterator[Setting]:
    """One and three sections painted at two shares; three other sections tested.

    All of it twice, with other sections: what is painted on one section leads further
    than on another.
    """
    data = isbi2012()
    for name, (one, three, tested) in _SECTIONS.items():
        named = replace(data, name=data.name + name)
        for share in (0.005, 0.02):
            for sections in (one, three):
                planes = [(0, z) for z in sections]
                yield Setting(named, share, planes, [(0, z) for z in tested])


def _fluorescence() -> Iterator[Setting]:
    """Images of one size come from few experiments: each size is a setting."""
    data = dsb2018_fluorescence()
    for numbers in _by_shape(data):
        if len(numbers) >= 9:
            yield _images(data, 0.01, numbers[:3], numbers[-6:])


def _tissue() -> Iterator[Setting]:
    data = dsb2018_tissue()
    numbers = list(range(len(data.images)))
    for share in (0.01, 0.03):
        yield _images(data, share, numbers[:3], numbers[-12:])


def _crowded_nuclei() -> Iterator[Setting]:
    yield _images(nuclei2d(), 0.01, [0], [1, 2, 3])


def _volumes() -> Iterator[Setting]:
    """Two planes painted; planes a quarter of the depth away from them tested."""
    for data in (nuclei3d(), cells3d()):
        depth = len(data.images[0])
        painted = [(0, depth // 3), (0, 2 * depth // 3)]
        yield Setting(data, 0.02, painted, [(0, depth // 6), (0, depth // 2)])


def _images(
    data: Dataset, share: float, painted: list[int], tested: list[int]
) -> Setting:
    return Setting(
        data, share, [(n, None) for n in painted], [(n, None) for n in tested]
    )


def _by_shape(data: Dataset) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, image in enumerate(data.images):
        groups[image.shape].append(number)
    return list(groups.values())


SETTINGS: dict[str, Callable[[], Iterator[Setting]]] = {
    "electron microscopy": _electron_microscopy,
    "fluorescence": _fluorescence,
    "tissue": _tissue,
    "crowded nuclei": _crowded_nuclei,
    "volumes": _volumes,
}
"""All settings by what the images show."""
