"""Answers what a window asks about a network; runs in the engine's process."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fcn.config import NormalisationConfig
from napari_fcn.data.annotations import samples_in
from napari_fcn.data.files import atomic_path
from napari_fcn.data.normalisation import measure
from napari_fcn.engine.equivariance import effect_by_distance, frame_effect
from napari_fcn.engine.inputs import network_input
from napari_fcn.engine.tiling import pad_to_stride, plan_tiles
from napari_fcn.errors import UserError
from napari_fcn.networks import (
    advise,
    build_network,
    count_parameters,
    depth_for,
    effective_field,
    object_extents,
    receptive_field,
)
from napari_fcn.workbench.questions import (
    Described,
    FieldSeen,
    FrameTried,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.config import ModelConfig, NetworkConfig
    from napari_fcn.data.normalisation import Normalisation
    from napari_fcn.data.source import ImageSource
    from napari_fcn.engine.model import Model
    from napari_fcn.workbench.live import LiveNetwork
    from napari_fcn.workbench.questions import (
        Answer,
        Describe,
        SeeField,
        TryFrame,
    )

_MOST_SAMPLES = 32
"""Of each image, on how many samples painted objects are measured."""
_MOST_PIXELS = 1 << 26
"""Of a sample; larger ones would keep the engine busy for too long."""
_LARGEST = {2: 512, 3: 64}
"""Edge in pixels of the part on which a frame is tried."""


class Insight:
    """Knows networks; answers one question at a time.

    Parameters
    ----------
    tell : callable
        Told the answers.
    current : callable
        Returns the network as it is now, if there is one.
    """

    def __init__(
        self,
        tell: Callable[[Answer], None],
        current: Callable[[], LiveNetwork | None],
    ) -> None:
        self._tell = tell
        self._current = current
        self._measured: dict[Any, Normalisation] = {}

    def describe(self, question: Describe) -> None:
        """Tell what a network is like."""
        try:
            self._tell(_describe(question))
        except (UserError, RuntimeError, OSError, ValueError) as error:
            self._tell(Described(question.network, error=_one_line(error)))

    def see_field(self, question: SeeField) -> None:
        """Measure the effective receptive field of one pixel."""
        try:
            self._tell(self._see(question))
        except (UserError, RuntimeError, OSError, ValueError, MemoryError) as error:
            self._tell(FieldSeen(question, error=_one_line(error)))

    def try_frame(self, question: TryFrame) -> None:
        """Compare predictions through two frames."""
        try:
            self._tell(self._try(question))
        except (UserError, RuntimeError, OSError, ValueError, MemoryError) as error:
            self._tell(FrameTried(question, error=_one_line(error)))

    def _see(self, question: SeeField) -> FieldSeen:
        ndim = len(question.position)
        source = question.image.source(question.project, ndim)
        network, config, trained = self._network_for(question, source)
        field = receptive_field(network, ndim)
        point = tuple(slice(p, p + 1) for p in question.position)
        tile = plan_tiles(source.spatial_shape, (1,) * ndim, field, point)[0]
        normal = self._normalisation(question, source, config).of(question.sample)
        image = normal.apply(source.read(question.sample, tile.read))
        inputs = network_input(network.config, image, tile.read, source.spatial_shape)
        start = tuple(s.start for s in tile.read)
        place = [p - s for p, s in zip(question.position, start, strict=True)]
        found = effective_field(network, pad_to_stride(inputs, tile.pad)[None], place)
        weights = found.weights[tuple(slice(n) for n in image.shape[1:])]
        _save(question.out, weights / max(float(weights.max()), 1e-300))
        return FieldSeen(question, start, found.size, trained)

    def _network_for(
        self, question: SeeField, source: ImageSource
    ) -> tuple[Any, ModelConfig | None, bool]:
        """Return the trained network if it takes this image, else a random one."""
        live = self._current()
        if live is not None and _takes(live.model, source):
            live.model.network.to(live.compute.device)
            return live.model.network, live.model.config, live.step > 0
        config = question.network.model_copy(
            update={"in_channels": source.n_channels, "ndim": source.ndim}
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_network(config).eval(), None, False

    def _try(self, question: TryFrame) -> FrameTried:
        ndim = len(question.region)
        source = question.image.source(question.project, ndim)
        live = self._current()
        if live is None or not _takes(live.model, source):
            raise UserError("Train on this image first; then try this again.")
        if live.model.config.task != "segmentation":
            raise UserError("Frames are compared for segmentation only.")
        model, field = live.model, live.model.receptive_field
        region = _cut(question.region, _LARGEST[ndim])
        measured = self._normalisation(question, source, model.config)
        normal = measured.of(question.sample)
        image = normal.apply(source.read(question.sample, region))
        shape, stride = image.shape[1:], field.stride
        frame = _frame(question, shape, stride)
        effect = frame_effect(model, image, frame, live.compute.device.type)  # type: ignore[arg-type]
        _save(question.out, effect)
        start = tuple(r.start + f.start for r, f in zip(region, frame, strict=True))
        rings = effect_by_distance(effect.max(0) if ndim == 3 else effect)
        return FrameTried(
            question,
            start,
            stride[-1],
            max(field.halo[-2:]),
            tuple(round(float(e), 7) for e in rings),
        )

    def _normalisation(
        self,
        question: SeeField | TryFrame,
        source: ImageSource,
        config: ModelConfig | None,
    ) -> Normalisation:
        wanted = config.normalisation if config else NormalisationConfig()
        key = (question.image.origin(question.project), source.ndim, wanted)
        if key not in self._measured:
            self._measured = {key: measure(source, wanted)}
        return self._measured[key]


def _describe(question: Describe) -> Described:
    config = question.network
    with torch.device("meta"):  # takes no memory, whatever the size
        network = build_network(config)
    field = receptive_field(network, config.ndim)
    answer = Described(
        config, count_parameters(network), field.before, field.after, field.stride
    )
    extents = _painted_extents(question)
    advice = advise(config, extents)
    better = depth_for(config, extents) if advice else None
    return replace(answer, advice=advice, better=better)


def _painted_extents(question: Describe) -> tuple[int, ...]:
    """Return the size of painted objects over all images: the largest per axis."""
    ndim = question.network.ndim
    extents = np.zeros(ndim, int)
    for image in question.images:
        assert question.project is not None
        source = image.source(question.project, ndim)
        if math.prod(source.spatial_shape) > _MOST_PIXELS:
            continue
        store = image.labels(question.project, writable=False)
        samples = {
            sample: None
            for region in store.painted_chunks()
            for sample in samples_in(source, region)
        }
        for sample in list(samples)[:_MOST_SAMPLES]:
            labels = source.read_labels(store, sample, source.whole())
            extents = np.maximum(extents, object_extents(labels, ndim))
    return tuple(int(e) for e in extents)


def _takes(model: Model, source: ImageSource) -> bool:
    config: NetworkConfig = model.config.network
    return config.ndim == source.ndim and config.in_channels == source.n_channels


def _cut(region: tuple[slice, ...], largest: int) -> tuple[slice, ...]:
    """Return the middle of a region, not larger than this per axis."""
    parts = []
    for part in region:
        size = min(part.stop - part.start, largest)
        start = part.start + (part.stop - part.start - size) // 2
        parts.append(slice(start, start + size))
    return tuple(parts)


def _frame(
    question: TryFrame, shape: tuple[int, ...], stride: tuple[int, ...]
) -> tuple[slice, ...]:
    """Return the frame inside a region of this shape; all of its depth."""
    frame = [slice(0, n) for n in shape]
    for axis in (-2, -1):
        size, step = shape[axis], stride[axis]
        if question.kind == "shift":
            frame[axis] = slice(question.pixels, size)
        else:
            margin = max(1, size // 4 // step) * step
            frame[axis] = slice(margin, size - margin)
        if frame[axis].start >= frame[axis].stop:
            raise UserError("Too little of the image is in view; zoom out and retry.")
    return tuple(frame)


def _save(path: Path, values: NDArray[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, values.astype(np.float32))


def _one_line(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text if isinstance(error, UserError) else f"It failed ({text}); try again."
