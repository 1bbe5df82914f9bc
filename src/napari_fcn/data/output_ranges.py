"""The units of image to image: the range of targets where a network learns from them.

Saturated pixels, dirt and other things that nobody trusts must not say what 1 is.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.config import NormalisationConfig, OutputInfo
from napari_fcn.data.normalisation import Normalisation, normalisation_of
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.data.annotations import Annotations, Coordinates
    from napari_fcn.data.pairs import PairedImage
    from napari_fcn.data.source import ImageSource

    Sample = tuple[int, ...]
    Place = tuple[Sample, tuple[slice, ...]]

_RANGE = NormalisationConfig(lower=0.5, upper=99.5)
_EDGE = {2: 512, 3: 64}
"""Edge in pixels of the tiles that are read, by the number of spatial axes."""
_MOST_TILES = 256
_MOST_VALUES = 2_000_000


def measure_outputs(
    images: Sequence[PairedImage],
    annotations: Annotations,
    names: Sequence[str] = (),
) -> tuple[OutputInfo, ...]:
    """Find the range of each channel of the targets, over all images.

    Only trusted pixels count that are learned from: neither those that are held out
    nor those in boxes for testing, whose score shall be that of unseen pixels.

    Parameters
    ----------
    images : sequence of PairedImage
        All with targets of as many channels.
    annotations : Annotations
        Where the targets of these images are trusted.
    names : sequence of str
        What the channels show; numbered by default.

    Returns
    -------
    tuple of OutputInfo
        So that almost all values of the targets lie between 0 and 1.

    Raises
    ------
    UserError
        If targets differ in their channels, cannot be read, hold no numbers where they
        are trusted, or are trusted in places for testing only.
    """
    targets = [item.target for item in images if item.target is not None]
    channels = {target.n_channels for target in targets}
    if len(channels) != 1 or len(targets) != len(images):
        raise UserError(
            "The targets differ in their number of channels; give each image one "
            "target, and all targets the same channels."
        )
    places = _places(annotations)
    measured = [
        _measure(target, annotations, number, places[number])
        for number, target in enumerate(targets)
        if places[number]
    ]
    if not measured:
        raise UserError(
            "All that is trusted is for testing only; trust another region, too."
        )
    offsets = np.median([m.offset for m in measured], axis=0)
    scales = np.median([1 / m.gain for m in measured], axis=0)
    count = channels.pop()
    given = names if len(names) == count else [f"output {n + 1}" for n in range(count)]
    return tuple(
        OutputInfo(name=name, offset=float(offset), scale=float(scale))
        for name, offset, scale in zip(given, offsets, scales, strict=True)
    )


def _places(annotations: Annotations) -> list[list[Place]]:
    """Return tiles of each image with pixels to learn from, evenly spread if many."""
    found: list[list[Place]] = [[] for _ in annotations.images]
    for (number, sample), coordinates in annotations.by_class(held=False)[0]:
        tiles = _tiles(coordinates, annotations.spatial_shape(number))
        found[number] += product([sample], tiles)
    return [_spread(places) for places in found]


def _spread(places: list[Place]) -> list[Place]:
    chosen = np.linspace(0, len(places) - 1, min(len(places), _MOST_TILES))
    return [places[i] for i in chosen.astype(int)]


def _tiles(coordinates: Coordinates, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return the tiles of a sample in which any of these pixels lie."""
    edge = _EDGE[len(shape)]
    return [
        tuple(
            slice(n * edge, min((n + 1) * edge, size))
            for n, size in zip(corner, shape, strict=True)
        )
        for corner in np.unique(coordinates // edge, axis=0).tolist()
    ]


def _measure(
    target: ImageSource, annotations: Annotations, number: int, places: list[Place]
) -> Normalisation:
    """Measure the range of a target's channels over what is learned from in places."""
    seen = [annotations.target(number, *place, held=False) >= 0 for place in places]
    share = _MOST_VALUES / target.n_channels / sum(int(s.sum()) for s in seen)
    random = np.random.default_rng(0)
    values = np.concatenate(
        [
            target.read(*place)[:, mask & (random.random(mask.shape) < share)]
            for place, mask in zip(places, seen, strict=True)
        ],
        axis=1,
    )
    known: NDArray[np.float32] = values[:, np.isfinite(values).all(0)]
    if not known.size:
        raise UserError(
            f"The target {target.name} holds no numbers where it is trusted (NaN or "
            "infinite); choose another target, or trust another region."
        )
    return normalisation_of(known, _RANGE)
