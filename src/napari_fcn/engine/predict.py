"""Prediction of images of any size with bounded memory, progress and cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from napari_fcn.data.axes import Axes
from napari_fcn.data.normalisation import Normalisation, measure
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.device import (
    Compute,
    choose_compute,
    free_cache,
    is_out_of_memory,
    memory_format,
)
from napari_fcn.engine.inputs import network_input
from napari_fcn.engine.outputs import (
    choose_output,
    output_channels,
    output_dtype,
    values_of,
)
from napari_fcn.engine.tiling import Region, Tile, pad_to_stride, plan_tiles
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from napari_fcn.config import DeviceName, NetworkConfig
    from napari_fcn.engine.model import Model
    from napari_fcn.engine.outputs import Output

DEFAULT_TILE = {2: 512, 3: 64}
_SMALLEST_TILE = 16


@dataclass(frozen=True)
class Progress:
    """How far a prediction is.

    Attributes
    ----------
    done, total : int
        Tiles.
    message : str
        Something the user should know, such as smaller tiles; else empty.
    """

    done: int
    total: int
    message: str = ""


class Cancelled(Exception):
    """The user asked to stop."""


def check_channels(model: Model, source: ImageSource) -> None:
    """Raise `UserError` if the model was trained for other channels."""
    wanted = model.config.network.in_channels
    if source.n_channels != wanted:
        raise UserError(
            f"{source.name} has {source.n_channels} channel(s) but the model was "
            f"trained on {wanted}; choose an image with {wanted} channel(s), of which "
            "a mask that it learned with (--mask) is one."
        )


def run_network(
    network: nn.Module, image: NDArray[np.float32], compute: Compute
) -> torch.Tensor:
    """Return logits (K, ...) in float32 on the CPU for an image (C, ...)."""
    batch = torch.from_numpy(np.ascontiguousarray(image))[None].to(compute.device)
    batch = batch.contiguous(memory_format=memory_format(image.ndim - 1))
    with torch.inference_mode(), compute.autocast():
        logits: torch.Tensor = network(batch)
    return logits[0].float().cpu()


def predict_tiles(
    model: Model,
    source: ImageSource,
    *,
    sample: tuple[int, ...] = (),
    normalisation: Normalisation,
    compute: Compute,
    region: Region | None = None,
    tile: int | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Iterator[tuple[tuple[slice, ...], torch.Tensor, float]]:
    """Predict one sample, or a region of it, tile by tile.

    When memory runs out, what is left is done with tiles of half the edge; when they
    cannot be smaller, on the CPU.

    Yields
    ------
    core : tuple of slice
        Where the tile belongs in the sample.
    logits : torch.Tensor
        (K, ...) float32.
    share : float
        How much of the sample the tile is, by volume.
    """
    field = model.receptive_field
    ndim = len(source.spatial_shape)
    edge = tile or DEFAULT_TILE[ndim]
    volume = float(np.prod(source.spatial_shape))
    pending = [region or source.whole()]
    network = model.network.to(compute.device)
    while pending:
        box = pending.pop(0)
        tiles = plan_tiles(source.spatial_shape, (edge,) * ndim, field, box)
        for position, part in enumerate(tiles):
            try:
                logits = predict_tile(
                    network, source, sample, part, normalisation, compute
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                edge, compute = _relieve(edge, compute, error, on_message)
                network = model.network.to(compute.device)
                pending = [t.core for t in tiles[position:]] + pending
                break
            size = float(np.prod([s.stop - s.start for s in part.core]))
            yield part.core, logits, size / volume


def predict_tile(
    network: nn.Module,
    source: ImageSource,
    sample: tuple[int, ...],
    tile: Tile,
    normalisation: Normalisation,
    compute: Compute,
) -> torch.Tensor:
    """Return the logits (K, ...) of one tile's core, float32 on the CPU."""
    image = normalisation.of(sample).apply(source.read(sample, tile.read))
    config = cast("NetworkConfig", network.config)
    image = network_input(config, image, tile.read, source.spatial_shape)
    logits = run_network(network, pad_to_stride(image, tile.pad), compute)
    return logits[(slice(None), *tile.keep)]


def _relieve(
    edge: int,
    compute: Compute,
    error: BaseException,
    on_message: Callable[[str], None] | None,
) -> tuple[int, Compute]:
    """Choose a smaller tile, or the CPU, after memory ran out."""
    free_cache(compute.device)
    if edge // 2 >= _SMALLEST_TILE:
        edge //= 2
        message = f"Memory ran out; going on with tiles of {edge} pixels."
    elif compute.device.type != "cpu":
        compute, edge = Compute(torch.device("cpu")), 256
        message = "The GPU's memory ran out; going on with the processor."
    else:
        raise UserError(
            "There is not enough memory for this network; close other programs or "
            "train a narrower network."
        ) from error
    if on_message is not None:
        on_message(message)
    return edge, compute


def predict_source(
    model: Model,
    source: ImageSource,
    out: Any,
    *,
    output: Output | None = None,
    device: DeviceName = "auto",
    tile: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    done: Callable[[tuple[int, ...]], bool] | None = None,
    on_sample: Callable[[tuple[int, ...]], None] | None = None,
) -> None:
    """Predict a whole image, sample by sample and tile by tile, into `out`.

    Parameters
    ----------
    model : Model
        The model.
    source : ImageSource
        The image; only the tile at hand is in memory.
    out : array
        Anything that takes numpy assignment: (label shape), with a first axis before
        where `napari_fcn.engine.outputs.output_channels` says so.
    output : str, optional
        What to write; labels, density or images by default, as the task has it.
        See `predict_array`.
    device : str
        Where to compute.
    tile : int, optional
        Edge of a tile in pixels.
    on_progress : callable, optional
        Called after each tile, and with a message when memory ran out.
    cancelled : callable, optional
        Asked after each tile; true ends the prediction with `Cancelled`.
    done, on_sample : callable, optional
        Tells which samples are there already, and told which are complete.

    Raises
    ------
    UserError
        If the channels do not fit, the model cannot give that output, or memory is not
        enough even for small tiles.
    Cancelled
        If the user cancelled.
    """
    check_channels(model, source)
    kind = choose_output(model.config, output)
    compute = choose_compute(device).exact()
    normalisation = measure(source, model.config.normalisation)
    samples = list(source.samples())
    finished, steps = 0.0, 1000

    def report(message: str = "") -> None:
        if on_progress is not None:
            share = min(1.0, finished / len(samples))
            on_progress(Progress(round(share * steps), steps, message))

    for sample in samples:
        if done is not None and done(sample):
            finished += 1
            continue
        tiles = predict_tiles(
            model,
            source,
            sample=sample,
            normalisation=normalisation,
            compute=compute,
            tile=tile,
            on_message=report,
        )
        for core, logits, share in tiles:
            values = values_of(logits, model.config, kind, normalisation.of(sample))
            write_tile(out, source, sample, core, values)
            finished += share
            report()
            if cancelled is not None and cancelled():
                raise Cancelled
        if on_sample is not None:
            on_sample(sample)


def write_tile(
    out: Any,
    source: ImageSource,
    sample: tuple[int, ...],
    core: tuple[slice, ...],
    values: NDArray[Any],
) -> None:
    """Write the values of one tile, those of several channels one by one."""
    if values.ndim == len(core):
        source.write_labels(out, sample, core, values)
        return
    for channel, plane in enumerate(values):
        source.write_labels(_Channel(out, channel), sample, core, plane)


class _Channel:
    """One channel of an array with channels first, for writing."""

    def __init__(self, array: Any, channel: int) -> None:
        self._array, self._channel = array, channel
        self.shape = array.shape[1:]
        self.dtype = array.dtype

    def __setitem__(self, key: tuple[Any, ...], value: NDArray[Any]) -> None:
        self._array[(self._channel, *key)] = value

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return self._array[(self._channel, *key)]


def predict_array(
    model: Model,
    image: Any,
    *,
    axes: str | None = None,
    output: Output | None = None,
    tile: int | None = None,
    device: DeviceName = "auto",
) -> Any:
    """Predict an array.

    Parameters
    ----------
    model : Model
        The model.
    image : array
        numpy, dask or zarr array.
    axes : str, optional
        One letter per axis, such as ``"TCYX"``; guessed from the shape by default.
    output : {"labels", "probabilities", "density", "image", "deviation"}, optional
        What to return; labels, density (objects per pixel) or images by default, as
        the task has it. The deviation is the standard deviation by which an image may
        be off, in the same units, for models of the loss ``heteroscedastic``.
    tile : int, optional
        Edge of a tile in pixels.
    device : str
        Where to compute.

    Returns
    -------
    array
        numpy for numpy; a lazy dask array for dask and zarr, one task per sample.
        Axes as in the image without its channels, preceded by the classes for
        probabilities, and by the channels of density, images or deviation that have
        several.

    Raises
    ------
    UserError
        If the channels do not fit, or the model cannot give that output.
    """
    names = axes or guess_axes(tuple(image.shape), model.config.network)
    source = ImageSource(image, Axes.of(names), model.config.network.ndim)
    check_channels(model, source)
    kind = choose_output(model.config, output)
    if isinstance(image, np.ndarray):
        out = np.zeros(*_like(model, kind, source.label_shape))
        predict_source(model, source, out, output=kind, tile=tile, device=device)
        return out
    return _predict_lazily(model, source, kind, tile, device)


def guess_axes(shape: tuple[int, ...], network: NetworkConfig) -> str:
    """Guess the axes of an array from what the network takes.

    Channels are looked for at the end (RGB), then before the spatial axes.

    Raises
    ------
    UserError
        If the array has too few or too many axes.
    """
    spatial = "ZYX"[-network.ndim :]
    channels = network.in_channels
    if channels == 1:
        order = "QTZYX"[-len(shape) :]
    else:
        inner = spatial + "S" if shape[-1] == channels else "C" + spatial
        order = ("QTZ"[: 5 - network.ndim] + inner)[-len(shape) :]
    if len(order) != len(shape) or len(shape) < network.ndim:
        raise UserError(
            f"An array of shape {shape} does not fit a {network.ndim}D network; name "
            "its axes."
        )
    return order


def _like(
    model: Model, output: Output, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an output, given those of labels."""
    channels = output_channels(model.config, output)
    lead = (channels,) if channels else ()
    return (*lead, *shape), output_dtype(model.config, output)


def _predict_lazily(
    model: Model,
    source: ImageSource,
    output: Output,
    tile: int | None,
    device: DeviceName,
) -> Any:
    import dask
    import dask.array as da

    shape, dtype = _like(model, output, source.spatial_shape)
    normalisation = dask.delayed(measure)(source, model.config.normalisation)
    predict = dask.delayed(_predict_sample)
    samples = [
        da.from_delayed(
            predict(model, source, sample, normalisation, output, tile, device),
            shape,
            dtype=dtype,
        )
        for sample in source.samples()
    ]
    lead = len(shape) - source.ndim
    stacked = da.stack(samples, axis=lead)
    stacked = stacked.reshape(shape[:lead] + source.sample_shape + shape[lead:])
    axes, ndim = source.label_axes, source.ndim
    order = np.argsort(axes.samples(ndim) + axes.spatial(ndim)) + lead
    return stacked.transpose((*range(lead), *order))


def _predict_sample(
    model: Model,
    source: ImageSource,
    sample: tuple[int, ...],
    normalisation: Normalisation,
    output: Output,
    tile: int | None,
    device: DeviceName,
) -> NDArray[Any]:
    result = np.zeros(*_like(model, output, source.spatial_shape))
    compute = choose_compute(device).exact()
    tiles = predict_tiles(
        model,
        source,
        sample=sample,
        normalisation=normalisation,
        compute=compute,
        tile=tile,
    )
    for core, logits, _ in tiles:
        values = values_of(logits, model.config, output, normalisation.of(sample))
        lead = [slice(None)] * (result.ndim - len(core))
        result[(*lead, *core)] = values
    return result
