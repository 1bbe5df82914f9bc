"""The prediction of what is on the screen, kept fresh while the network learns."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.normalisation import Normalisation, measure
from napari_fcn.engine.device import free_cache, is_out_of_memory
from napari_fcn.engine.outputs import labels_from_logits
from napari_fcn.engine.predict import predict_tile
from napari_fcn.engine.tiling import Tile, plan_tiles
from napari_fcn.engine.uncertainty import Mirrored, uncertainty
from napari_fcn.workbench.protocol import UNCERTAINTY, Look, Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn

    from napari_fcn.data.source import ImageSource
    from napari_fcn.data.store import ChunkStore, Region
    from napari_fcn.engine.device import Compute
    from napari_fcn.engine.model import Model

_EDGE = {2: 512, 3: 64}
_SMALLEST = 32
_SHARE = 0.3
"""How much of the time predictions may take while training."""
_AT_LEAST = 0.7
"""Seconds between the starts of two refreshes while training."""
_REST = 5.0
"""Seconds until a full disk is tried again."""
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
        sample: tuple[int, ...],
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


class _Scene:
    """An image that is looked at, with its open stores."""

    def __init__(self, look: Look, model: Model) -> None:
        self.key, self.ndim = look.image.key, look.ndim
        self.config = model.config.normalisation
        self.image: ImageSource = look.image.source(look.project, look.ndim)
        self.normalisation: Normalisation = measure(self.image, self.config)
        self.labels: ChunkStore = look.image.prediction(look.project)
        self._look = look
        self._probability: ChunkStore | None = None

    def fits(self, look: Look, model: Model) -> bool:
        """Tell whether it can be used for what is looked at now."""
        mine = (self.key, self.ndim, self.config)
        return mine == (look.image.key, look.ndim, model.config.normalisation)

    def probability(self) -> ChunkStore:
        """Open the store of class probabilities when first needed."""
        if self._probability is None:
            self._probability = self._look.image.prediction(
                self._look.project, "probability", "float32"
            )
        return self._probability


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
        self._tiles: list[Tile] = []
        self._edge = 0
        self._shown_step = -1
        self._round_start = self._rest_until = -np.inf
        self._spent = 0.0

    def look(self, look: Look | None) -> None:
        """Look elsewhere, from the next tick on."""
        self._look = look
        self.restart()

    def restart(self) -> None:
        """Predict everything in view again."""
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
        if not self._tiles and not self._start_round(look, network):
            return False
        start = self._clock()
        try:
            self._predict(look, self._tiles.pop(0), network)
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
        self._tiles = _plan(self._scene.image, network.model, look.region, self._edge)
        self._shown_step, self._round_start, self._spent = network.step, now, 0.0
        return bool(self._tiles)

    def _predict(self, look: Look, tile: Tile, network: LiveNetwork) -> None:
        scene = self._scene
        assert scene is not None
        model = network.model
        model.network.to(network.compute.device)
        logits = predict_tile(
            model.network,
            scene.image,
            look.sample,
            tile,
            scene.normalisation,
            network.compute,
        )
        values = labels_from_logits(logits, model.config.classes)
        scene.image.write_labels(
            scene.labels, look.sample, tile.core, values.astype(np.uint8)
        )
        scene.labels.flush()
        shown = _write_probability(look, tile, logits, network, scene)
        where = scene.image.label_index(look.sample, tile.core)
        region = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in where)
        self._tell(Shown(look.image.key, region, network.step, not self._tiles, shown))


def _can_show(network: LiveNetwork, look: Look) -> bool:
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


def _write_probability(
    look: Look, tile: Tile, logits: torch.Tensor, network: LiveNetwork, scene: _Scene
) -> bool:
    """Write the probability of the wanted class; False if none is wanted or known."""
    values = [c.value for c in network.model.config.classes]
    if look.probability == UNCERTAINTY:
        chosen = uncertainty(
            *network.opinions(scene.image, look.sample, tile, scene.normalisation)
        )
    elif look.probability in values:
        chosen = logits.softmax(0)[values.index(look.probability)].numpy()
    else:
        return False
    store = scene.probability()
    scene.image.write_labels(store, look.sample, tile.core, chosen)
    store.flush()
    return True
