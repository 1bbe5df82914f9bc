"""Where to paint next: images and slices in turn, and there where it is unsure.

Where parts of all images compete in how unsure the network is of them, one is sent to
odd images, from which a network that knows little yet may learn less than from any
other. So the parts are drawn evenly, and only the place inside is chosen by the
network.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fcn.data.normalisation import measure
from napari_fcn.engine.events import Message
from napari_fcn.engine.tiling import plan_tiles, round_up
from napari_fcn.engine.uncertainty import most_useful, uncertainty
from napari_fcn.errors import UserError
from napari_fcn.workbench.protocol import Suggest, Suggested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_fcn.data.normalisation import Normalisation
    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import Region
    from napari_fcn.project import ProjectImage
    from napari_fcn.workbench.live import LiveNetwork

_PARTS = 8
"""How many parts of the images are looked at for one suggestion, at the most."""
_ENOUGH = 0.1
"""How unsure the network must be of a place; else the next part is looked at, too."""
_EDGE = {2: 192, 3: 48}
_REACH = {2: 64, 3: 16}
"""Edge of the area that is to be unsure as a whole: about what one paints in."""


class _Part(NamedTuple):
    """A part of an image, small enough to be predicted in one go."""

    image: ProjectImage
    source: ImageSource
    normalisation: Normalisation
    sample: tuple[int, ...]
    region: Region


def run_suggest(
    command: Suggest,
    network: LiveNetwork | None,
    tell: Callable[[Suggested | Message], None],
    pump: Callable[[], None],
) -> None:
    """Tell a useful place; a `Message` where none can be found.

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
        for part in _parts(command, network):
            found = _judge(command, part, network)
            if found.doubt > (best.doubt if best is not None else 0.0):
                best = found
            if found.doubt >= _ENOUGH:
                break
            pump()
    except UserError as error:
        tell(Message(str(error)))
        return
    except (RuntimeError, MemoryError, OSError) as error:
        tell(Message(f"No place could be found ({error}); try again."))
        return
    tell(best or Message("The network is sure of all it was shown; look around."))


def _parts(command: Suggest, network: LiveNetwork) -> Iterator[_Part]:
    """Choose parts of images and samples, those that were suggested least first."""
    random = np.random.default_rng(command.seed)
    visits = Counter(key for key, _ in command.before)
    images = [command.images[i] for i in random.permutation(len(command.images))]
    images = sorted(images, key=lambda image: visits[image.key])[:_PARTS]
    turns = [_parts_of(image, command, network, random) for image in images]
    for _, part in zip(
        range(_PARTS), chain.from_iterable(zip(*turns, strict=False)), strict=False
    ):
        yield part


def _parts_of(
    image: ProjectImage,
    command: Suggest,
    network: LiveNetwork,
    random: np.random.Generator,
) -> Iterator[_Part]:
    """Yield parts of an image without end, of the least suggested samples first."""
    source = image.source(command.project, network.model.config.network.ndim)
    normalisation = measure(source, network.model.config.normalisation)
    axes = source.label_axes.samples(source.ndim)
    earlier = [region for key, region in command.before if key == image.key]
    visits = Counter(tuple(region[axis].start for axis in axes) for region in earlier)
    samples = list(source.samples())
    order = [samples[i] for i in random.permutation(len(samples))]
    for sample in cycle(sorted(order, key=lambda sample: visits[sample])):
        region = _region(source, network, random)
        yield _Part(image, source, normalisation, sample, region)


def _region(
    source: ImageSource, network: LiveNetwork, random: np.random.Generator
) -> Region:
    """Choose a part of a sample that is predicted in one go."""
    region = []
    for size, stride in zip(
        source.spatial_shape, network.model.receptive_field.stride, strict=True
    ):
        edge = round_up(_EDGE[source.ndim], stride)
        room = max(0, size - edge)
        start = int(random.integers(room // stride + 1)) * stride
        # The last pixels of an image are as likely as its first ones.
        start = round_up(room, stride) if start + stride > room else start
        region.append(slice(start, min(start + edge, size)))
    return tuple(region)


def _judge(command: Suggest, part: _Part, network: LiveNetwork) -> Suggested:
    """Return the most useful place of a part."""
    source, sample = part.source, part.sample
    doubt, region = _doubt(part, network)
    labels = part.image.labels(command.project, writable=False)
    painted = np.asarray(source.read_labels(labels, sample, region)) > 0
    for place in _earlier(command, part, region):
        painted[place] = True
    reach = min(_REACH[source.ndim], max(4, min(source.spatial_shape) // 4))
    value, place = most_useful(doubt, painted, reach)
    middle = [p + s.start for p, s in zip(place, region, strict=True)]
    where = source.label_index(sample, tuple(slice(m, m + 1) for m in middle))
    found = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in where)
    return Suggested(part.image.key, found, value, reach)


def _earlier(
    command: Suggest, part: _Part, region: Region
) -> Iterator[tuple[int, ...]]:
    """Yield where in a part places were suggested before: as good as painted."""
    axes, ndim = part.source.label_axes, part.source.ndim
    for key, where in command.before:
        if key != part.image.key:
            continue
        sample = tuple(where[axis].start for axis in axes.samples(ndim))
        place = tuple(
            where[axis].start - bounds.start
            for axis, bounds in zip(axes.spatial(ndim), region, strict=True)
        )
        sizes = (bounds.stop - bounds.start for bounds in region)
        if sample == part.sample and all(
            0 <= p < n for p, n in zip(place, sizes, strict=True)
        ):
            yield place


def _doubt(part: _Part, network: LiveNetwork) -> tuple[NDArray[np.float32], Region]:
    """Return how unsure the network is of a part, and where exactly that is."""
    model, source = network.model, part.source
    edges = tuple(s.stop - s.start for s in part.region)
    tiles = plan_tiles(source.spatial_shape, edges, model.receptive_field, part.region)
    opinions = network.opinions(source, part.sample, tiles[0], part.normalisation)
    return uncertainty(*opinions), tiles[0].core
