"""Starting from a saved model whose classes or channels differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_fcn.networks.photo_features import PHOTOGRAPHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from napari_fcn.config import ModelConfig
    from napari_fcn.engine.model import Model


_HEAD, _PHOTO_HEAD = "head.", f"{PHOTOGRAPHS}head."
"""Layers with a row for each class."""


class Transferred(NamedTuple):
    """What was taken over from a model.

    Attributes
    ----------
    body, outputs : bool
        Whether all of the body was, and the rows of all outputs in the last layer.
    photographs : bool
        Whether the classifier of photographs' features was, if there is one.
    message : str
        One sentence that says it, and what starts anew.
    """

    body: bool = False
    outputs: bool = False
    photographs: bool = False
    message: str = ""


def transfer_weights(
    network: nn.Module, config: ModelConfig, start: Model
) -> Transferred:
    """Copy what fits from a saved model into a new network.

    Weights of equal name and shape are taken over. In the last layer each class that
    both know, by painted number, keeps its weights. The classifier of photographs'
    features is taken over as a whole, or not at all.

    Parameters
    ----------
    network : nn.Module
        The new network; changed in place.
    config : ModelConfig
        Of the new network.
    start : Model
        The saved model.

    Returns
    -------
    Transferred
        What was taken over.
    """
    old, new = start.network.state_dict(), network.state_dict()
    body = [n for n in new if not n.startswith((_HEAD, PHOTOGRAPHS))]
    fresh = []
    for name in body:
        if name in old and old[name].shape == new[name].shape:
            new[name].copy_(old[name])
        else:
            fresh.append(name)
    if config.classes:
        rows = _known_rows(new, old, _HEAD, config, start.config)
        _copy_rows(new, old, _HEAD, rows)
        unknown = [c.name for r, c in enumerate(config.classes) if r not in rows]
    else:
        unknown = _copy_outputs(new, old)
    photographs = _take_photographs(new, old, config, start.config)
    return Transferred(
        body=not fresh,
        outputs=not unknown,
        photographs=bool(photographs),
        message=_describe(len(body), fresh, unknown, photographs),
    )


def _named(state: Mapping[str, Tensor], prefix: str) -> list[str]:
    return [name for name in state if name.startswith(prefix)]


def _known_rows(
    new: Mapping[str, Tensor],
    old: Mapping[str, Tensor],
    prefix: str,
    config: ModelConfig,
    old_config: ModelConfig,
) -> dict[int, int]:
    """Return the row in the old layer for each row of the new one that it knows."""
    names = _named(new, prefix)
    if any(n not in old or old[n].shape[1:] != new[n].shape[1:] for n in names):
        return {}
    rows = {c.value: row for row, c in enumerate(old_config.classes)}
    wanted = enumerate(config.classes)
    return {row: rows[c.value] for row, c in wanted if c.value in rows}


def _copy_rows(
    new: Mapping[str, Tensor],
    old: Mapping[str, Tensor],
    prefix: str,
    rows: Mapping[int, int],
) -> None:
    for name in _named(new, prefix):
        for row, source in rows.items():
            new[name][row].copy_(old[name][source])


def _copy_outputs(new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> list[str]:
    """Copy a last layer whose outputs have no numbers; returns what does not fit."""
    unknown = []
    for name in _named(new, _HEAD):
        if name in old and old[name].shape == new[name].shape:
            new[name].copy_(old[name])
        else:
            unknown.append(name)
    return unknown


def _take_photographs(
    new: Mapping[str, Tensor],
    old: Mapping[str, Tensor],
    config: ModelConfig,
    old_config: ModelConfig,
) -> bool | None:
    """Copy the classifier of photographs' features if it knows all, of such images.

    Returns whether it was copied; None if there is none.
    """
    if not _named(new, _PHOTO_HEAD):
        return None
    rows = _known_rows(new, old, _PHOTO_HEAD, config, old_config)
    channels = config.network.in_channels == old_config.network.in_channels
    if not channels or len(rows) < len(config.classes):
        return False
    fixed = [n for n in _named(new, PHOTOGRAPHS) if not n.startswith(_PHOTO_HEAD)]
    if any(n not in old or old[n].shape != new[n].shape for n in fixed):
        return False
    for name in fixed:  # what the classifier was solved for
        new[name].copy_(old[name])
    _copy_rows(new, old, _PHOTO_HEAD, rows)
    return True


def _describe(
    total: int, fresh: list[str], unknown: list[str], photographs: bool | None
) -> str:
    if not fresh and not unknown and photographs is not False:
        return "All weights of the starting model were taken over."
    parts = [f"{total - len(fresh)} of {total} weight tensors were taken over"]
    if fresh:
        parts.append(f"{fresh[0]!r} and {len(fresh) - 1} other(s) start anew")
    if unknown:
        parts.append(f"these outputs start anew: {', '.join(unknown)}")
    if photographs is False:
        parts.append("what features of photographs mean is learned anew")
    return "From the starting model " + "; ".join(parts) + "."
