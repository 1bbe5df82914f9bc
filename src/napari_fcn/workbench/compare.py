"""Two models side by side: both predict what is on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fcn.data.normalisation import measure
from napari_fcn.engine.events import Message
from napari_fcn.engine.model import load_model
from napari_fcn.engine.outputs import labels_from_logits
from napari_fcn.engine.predict import check_channels, predict_tiles
from napari_fcn.errors import UserError
from napari_fcn.workbench.live_stores import COMPARED
from napari_fcn.workbench.protocol import Compare, Compared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_fcn.engine.device import Compute
    from napari_fcn.engine.model import Model
    from napari_fcn.workbench.live import LiveNetwork


def run_compare(
    command: Compare,
    network: LiveNetwork | None,
    tell: Callable[[Compared | Message], None],
    pump: Callable[[], None],
) -> None:
    """Predict with both models; tell where and how far they differ.

    Parameters
    ----------
    command : Compare
        The part of an image, and the models.
    network : LiveNetwork, optional
        The network as it is now.
    tell : callable
        Told the end, or a `Message` why there is none.
    pump : callable
        Called between two tiles, so that commands are heard meanwhile.
    """
    if network is None:
        tell(Message("There is no network to compare with yet; train first."))
        return
    look = command.look
    try:
        first, second = (
            _predict(command, _model(path, network), name, network.compute, pump)
            for path, name in zip(command.models, COMPARED, strict=True)
        )
    except UserError as error:
        tell(Message(str(error)))
        return
    except (RuntimeError, MemoryError, OSError) as error:
        tell(Message(f"The networks could not be compared ({error}); try again."))
        return
    source = look.image.source(look.project, look.ndim)
    where = source.label_index(look.sample, look.region)
    region = tuple(i if isinstance(i, slice) else slice(i, i + 1) for i in where)
    tell(Compared(look.image.key, region, float((first != second).mean())))


def _model(path: Path | None, network: LiveNetwork) -> Model:
    return network.model if path is None else load_model(path)


def _predict(
    command: Compare,
    model: Model,
    name: str,
    compute: Compute,
    pump: Callable[[], None],
) -> NDArray[np.uint8]:
    """Predict the part into a store; return what was written in it."""
    look = command.look
    ndim = model.config.network.ndim
    if ndim != look.ndim:
        raise UserError(f"One of the networks is for {ndim}D; choose others.")
    source = look.image.source(look.project, ndim)
    check_channels(model, source)
    store = look.image.prediction(look.project, name)
    for earlier in store.painted_chunks():  # of other networks
        store[earlier] = 0
    for core, logits, _ in predict_tiles(
        model,
        source,
        sample=look.sample,
        normalisation=measure(source, model.config.normalisation),
        compute=compute,
        region=look.region,
    ):
        values = labels_from_logits(logits, model.config.classes).astype(np.uint8)
        source.write_labels(store, look.sample, core, values)
        pump()
    store.flush()
    return np.asarray(source.read_labels(store, look.sample, look.region))
