"""The prediction of what is on the screen, kept fresh while the network learns."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.normalisation import Normalisation, measure
from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.outputs import (
    channel_names,
    choose_output,
    deviations_from_output,
    has_deviation,
    output_channels,
    values_of,
)
from napari_fcn.engine.predict import predict_tile
from napari_fcn.engine.tiling import Tile, plan_tiles
from napari_fcn.engine.uncertainty import Mirrored, uncertainty
from napari_fcn.workbench.live_stores import (
    LIVE,
    deviation_store,
    live_store,
    places_of,
)
from napari_fcn.workbench.protocol import UNCERTAINTY, Look, Shown
from napari_fcn.workbench.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import Any

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import ChunkStore, Region
    from napari_fcn.engine.device import Compute
    from napari_fcn.engine.model import Model

    Sample = tuple[int, ...]

_EDGE = {2: 512, 3: 64}
_SMALLEST = 32
_SHARE = 0.3
"""How much of the time predictions may take while training."""
_AT_LEAST = 0.7
"""Seconds between the starts of two refreshes while training."""
_REST = 5.0
"""Seconds until a full disk is tried again."""
_FOLLOWED = 2**22
"""Pixels of a sample up to which all of it is followed while the network learns."""
_FEWEST = 2
"""Tiles of the rest of the sample in each round, at least."""
_FIRST_STEP = 5
"""Before that a network that started from nothing is noise."""


@dataclass(frozen=True)
class LiveNetwork:
    """The network as it is now.

    Attributes
    ----------
    model : Model
        Its weights may go on changing.
    compute : Compute
        Where and how precisely to predict.
    step : int
        How many steps it has learned.
    learning : bool
        Whether it learns meanwhile, so that predictions must share the time.
    current : Module, optional
        While a run goes on, the weights of its last step; those of the model are
        averages.
    """

    model: Model
    compute: Compute
    step: int
    learning: bool
    current: nn.Module | None = None

    def opinions(
        self,
        source: ImageSource,
        sample: Sample,
        tile: Tile,
        normalisation: Normalisation,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two predictions of a tile, whose difference tells what is unsure.

        They are those of the averaged and of the current weights; where nothing is
        trained, those of the image and of its mirror image.
        """
        first = self.model.network.to(self.compute.device)
        second = self.current if self.current is not None else Mirrored(first)
        with _looking(second):
            one, other = (
                predict_tile(n, source, sample, tile, normalisation, self.compute)
                for n in (first, second)
            )
        return one, other


@contextmanager
def _looking(network: nn.Module) -> Iterator[None]:
    """Have a network in training predict, and then go on as it was."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _needs(look: Look, model: Model) -> Hashable:
    """Return what decides how an image is opened for a look."""
    pixels = look.image.origin(look.project)
    return pixels, look.ndim, model.config.normalisation


class _Scene:
    """An image that is looked at, with its open stores."""

    def __init__(self, look: Look, model: Model) -> None:
        self._made_for = _needs(look, model)
        self.image: ImageSource = look.image.source(look.project, look.ndim)
        self.normalisation = measure(self.image, model.config.normalisation)
        self._look = look
        self._stores: dict[str, ChunkStore] = {}

    def fits(self, look: Look, model: Model) -> bool:
        """Tell whether it can be used for what is looked at now."""
        return self._made_for == _needs(look, model)

    def store(self, what: str, dtype: str) -> ChunkStore:
        """Open a store of predictions when first needed."""
        if what not in self._stores:
            self._stores[what] = self._look.image.prediction(
                self._look.project, what, dtype
            )
        return self._stores[what]

    def write(
        self, what: str, sample: Sample, core: Region, values: NDArray[Any]
    ) -> None:
        """Write what was predicted, and have it on disk."""
        store = self.store(what, str(values.dtype))
        self.image.write_labels(store, sample, core, values)
        store.flush()


class LiveView:
    """Predicts the visible region tile by tile, nearest to its middle first.

    While the network learns, a refresh begins when the one before has been paid for
    with training time; between two steps at most one tile is predicted.

    Parameters
    ----------
    tell : callable
        Told what was predicted.
    clock : callable
        Seconds, for the share of time.
    """

    def __init__(
        self,
        tell: Callable[[Shown], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._look: Look | None = None
        self._scene: _Scene | None = None
        self._tiles: list[tuple[Sample, Tile]] = []
        self._edge = 0
        self._sweep = Sweep()
        self._learning = False
        self._shown_step = -1
        self._round_start = self._rest_until = -np.inf
        self._spent = 0.0

    def look(self, look: Look | None) -> None:
        """Look elsewhere, from the next tick on."""
        self._look = look
        self._begin()

    def restart(self) -> None:
        """Predict everything again."""
        self._sweep = Sweep()
        self._begin()

    def _begin(self) -> None:
        self._tiles = []
        self._shown_step = -1
        self._round_start = -np.inf

    def rest(self) -> None:
        """Predict nothing for some seconds, then everything in view again."""
        self.restart()
        self._rest_until = self._clock() + _REST

    def tick(self, network: LiveNetwork) -> bool:
        """Predict at most one tile, if its time has come.

        Returns
        -------
        bool
            Whether there was something to do.
        """
        look = self._look
        if look is None or not _can_show(network, look):
            return False
        if self._clock() < self._rest_until:
            return False
        if look.whole and network.learning != self._learning:
            self._begin()  # what is learned now is not what all was predicted with
        self._learning = network.learning
        if not self._tiles and not self._start_round(look, network):
            return False
        start = self._clock()
        try:
            self._predict(look, *self._tiles.pop(0), network)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self._edge // 2 < _SMALLEST:
                self._look = None
                raise
            free_cache(network.compute.device)
            self._edge //= 2
            self.restart()
        self._spent += self._clock() - start
        return True

    def _start_round(self, look: Look, network: LiveNetwork) -> bool:
        now = self._clock()
        wait = max(_AT_LEAST, self._spent / _SHARE) if network.learning else 0.0
        if network.step == self._shown_step or now - self._round_start < wait:
            return False
        if self._scene is None or not self._scene.fits(look, network.model):
            self._scene = _Scene(look, network.model)
        self._edge = min(self._edge or _EDGE[look.ndim], _EDGE[look.ndim])
        self._tiles = [
            (sample, tile)
            for sample, region in ((look.sample, look.region), *look.boxes)
            for tile in _plan(self._scene.image, network.model, region, self._edge)
        ]
        if look.whole:
            self._tiles += self._rest_of_sample(look, self._scene.image, network)
        self._shown_step, self._round_start, self._spent = network.step, now, 0.0
        return bool(self._tiles)

    def _rest_of_sample(
        self, look: Look, image: ImageSource, network: LiveNetwork
    ) -> list[tuple[Sample, Tile]]:
        """Return tiles that are not on the screen; few at a time while it learns."""
        shape = image.spatial_shape
        if network.learning and np.prod(shape) > _FOLLOWED:
            self._sweep = Sweep()
            return []
        whole = tuple(slice(0, n) for n in shape)
        tiles = self._sweep.take(
            (look.image.origin(look.project), look.sample, look.ndim, look.task),
            lambda: _plan(image, network.model, whole, self._edge),
            look.region,
            max(_FEWEST, len(self._tiles)) if network.learning else None,
        )
        return [(look.sample, tile) for tile in tiles]

    def _predict(
        self, look: Look, sample: Sample, tile: Tile, network: LiveNetwork
    ) -> None:
        scene = self._scene
        assert scene is not None
        model = network.model
        model.network.to(network.compute.device)
        logits = predict_tile(
            model.network,
            scene.image,
            sample,
            tile,
            scene.normalisation,
            network.compute,
        )
        pictures = _pictures(
            logits, model, scene.normalisation.of(sample), look.outputs
        )
        for what, values in pictures:
            scene.write(what, sample, tile.core, values)
        shown = _write_probability(look, sample, tile, logits, network, scene)
        where = scene.image.label_index(sample, tile.core)
        region = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in where)
        complete = not self._tiles
        whole = look.whole and complete and self._sweep.end_round()
        self._tell(Shown(look.image.key, region, network.step, complete, shown, whole))


def _can_show(network: LiveNetwork, look: Look) -> bool:
    if network.model.config.task != look.task:
        return False
    config = network.model.config.network
    channels = look.image.axes.axes().channel
    found = 1 if channels is None else look.image.shape[channels]
    blank = "start" not in network.model.config.training
    early = network.learning and blank and network.step < _FIRST_STEP
    return config.ndim == look.ndim and config.in_channels == found and not early


def _plan(image: ImageSource, model: Model, region: Region, edge: int) -> list[Tile]:
    shape = image.spatial_shape
    tiles = plan_tiles(shape, (edge,) * len(shape), model.receptive_field, region)
    middle = np.array([(s.start + s.stop) / 2 for s in region])

    def distance(tile: Tile) -> float:
        centre = np.array([(s.start + s.stop) / 2 for s in tile.core])
        return float(((centre - middle) ** 2).sum())

    return sorted(tiles, key=distance)


def _pictures(
    logits: torch.Tensor,
    model: Model,
    normalisation: Normalisation,
    wanted: tuple[str, ...],
) -> list[tuple[str, NDArray[Any]]]:
    """Return what is shown of an output, by the names of the stores it belongs in."""
    config = model.config
    kind = choose_output(config)
    values = values_of(logits, config, kind, normalisation)
    if kind == "labels":
        return [(LIVE, values.astype(np.uint8))]
    planes = values if output_channels(config, kind) else values[np.newaxis]
    if kind == "density":
        numbers = [c.value for c in config.classes]
        return [(live_store(kind, n), x) for n, x in zip(numbers, planes, strict=True)]
    places = places_of(channel_names(config), wanted)
    pictures = [
        (live_store("regression", n), x)
        for n, x in enumerate(_arranged(planes, places))
    ]
    if has_deviation(config):
        unsure = _arranged(deviations_from_output(logits, config), places)
        pictures += [(deviation_store(n), x) for n, x in enumerate(unsure)]
    return pictures


def _arranged(
    planes: NDArray[np.float32], places: list[int | None]
) -> list[NDArray[np.float32]]:
    """Return the planes in these places; nothing (0) where there is none."""
    nothing = np.zeros_like(planes[0])
    return [nothing if place is None else planes[place] for place in places]


def _write_probability(
    look: Look,
    sample: Sample,
    tile: Tile,
    logits: torch.Tensor,
    network: LiveNetwork,
    scene: _Scene,
) -> bool:
    """Write the probability of the wanted class; False if none is wanted or known."""
    config = network.model.config
    if config.task != "segmentation":
        return False
    values = [c.value for c in config.classes]
    if look.probability == UNCERTAINTY:
        chosen = uncertainty(
            *network.opinions(scene.image, sample, tile, scene.normalisation)
        )
    elif look.probability in values:
        chosen = logits.softmax(0)[values.index(look.probability)].numpy()
    else:
        return False
    scene.write("probability", sample, tile.core, chosen)
    return True
