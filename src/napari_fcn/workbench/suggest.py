"""Where to paint next: a look at parts of all images with the network as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.normalisation import measure
from napari_fcn.engine.events import Message
from napari_fcn.engine.predict import predict_tile
from napari_fcn.engine.tiling import plan_tiles
from napari_fcn.engine.uncertainty import most_useful, uncertainty
from napari_fcn.errors import UserError
from napari_fcn.workbench.protocol import Suggest, Suggested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import Region
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.live import LiveNetwork

    Part = tuple[ProjectImage, tuple[int, ...], Region]

_PARTS = 12
"""How many parts of the images are looked at for one suggestion."""
_EDGE = {2: 256, 3: 48}
_REACH = {2: 24, 3: 8}
_FAR = 2.0
"""How much less a place is worth on a sample that was suggested before."""


def run_suggest(
    command: Suggest,
    network: LiveNetwork | None,
    tell: Callable[[Suggested | Message], None],
    pump: Callable[[], None],
) -> None:
    """Tell the most useful place found; a `Message` where none can be.

    Parameters
    ----------
    command : Suggest
        Which images, and what was suggested before.
    network : LiveNetwork, optional
        The network as it is now.
    tell : callable
        Told the place.
    pump : callable
        Called between two parts, so that commands are heard meanwhile.
    """
    if network is None:
        tell(Message("Train first: where to paint next is asked of the network."))
        return
    best: Suggested | None = None
    try:
        for part in _parts(command, network.model.config.network.ndim):
            found = _judge(command, part, network)
            if found.doubt > (best.doubt if best is not None else 0):
                best = found
            pump()
    except UserError as error:
        tell(Message(str(error)))
        return
    except (RuntimeError, MemoryError, OSError) as error:
        tell(Message(f"No place could be found ({error}); try again."))
        return
    tell(best or Message("The network is sure of all it was shown; look around."))


def _parts(command: Suggest, ndim: int) -> Iterator[Part]:
    """Choose parts spread over images and samples, other ones each time."""
    random = np.random.default_rng(command.seed)
    places = []
    for image in command.images:
        source = image.source(command.project, ndim)
        samples = list(source.samples())
        order = random.permutation(len(samples))[:_PARTS]
        places.append([(image, source, samples[i]) for i in order])
    turns = max((len(p) for p in places), default=0)
    chosen = [p[t % len(p)] for t in range(max(turns, _PARTS)) for p in places]
    for image, source, sample in chosen[:_PARTS]:
        edge = _EDGE[ndim]
        room = [max(1, n - edge + 1) for n in source.spatial_shape]
        starts = [int(random.integers(n)) for n in room]
        region = tuple(
            slice(s, min(s + edge, n))
            for s, n in zip(starts, source.spatial_shape, strict=True)
        )
        yield image, sample, region


def _judge(command: Suggest, part: Part, network: LiveNetwork) -> Suggested:
    image, sample, region = part
    model = network.model
    source = image.source(command.project, model.config.network.ndim)
    doubt = _doubt(source, sample, region, network)
    labels = image.labels(command.project, writable=False)
    painted = np.asarray(source.read_labels(labels, sample, region)) > 0
    value, place = most_useful(doubt, painted, _REACH[source.ndim])
    middle = [p + s.start for p, s in zip(place, region, strict=True)]
    around = tuple(slice(m, m + 1) for m in middle)
    where = source.label_index(sample, around)
    found = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in where)
    earlier = [r for key, r in command.before if key == image.key]
    before = sum(_same_sample(source, found, r) for r in earlier)
    return Suggested(image.key, found, value / _FAR**before)


def _same_sample(source: ImageSource, one: Region, other: Region) -> bool:
    axes = source.label_axes.samples(source.ndim)
    return len(other) == len(one) and all(one[i] == other[i] for i in axes)


def _doubt(
    source: ImageSource, sample: tuple[int, ...], region: Region, network: LiveNetwork
) -> np.ndarray:
    model = network.model
    model.network.to(network.compute.device)
    normalisation = measure(source, model.config.normalisation)
    shape = source.spatial_shape
    edges = (_EDGE[source.ndim],) * len(shape)
    doubt = np.zeros([s.stop - s.start for s in region], np.float32)
    for tile in plan_tiles(shape, edges, model.receptive_field, region):
        logits = predict_tile(
            model.network, source, sample, tile, normalisation, network.compute
        )
        both = [
            (max(c.start, r.start), min(c.stop, r.stop))
            for c, r in zip(tile.core, region, strict=True)
        ]
        if any(a >= b for a, b in both):
            continue
        spans = list(zip(both, tile.core, region, strict=True))
        inside = tuple(slice(a - c.start, b - c.start) for (a, b), c, _ in spans)
        out = tuple(slice(a - r.start, b - r.start) for (a, b), _, r in spans)
        doubt[out] = uncertainty(logits)[inside]
    return doubt
