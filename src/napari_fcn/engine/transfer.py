"""Starting from a saved model whose classes or channels differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_fcn.config import ModelConfig
    from napari_fcn.engine.model import Model


_HEAD, _PHOTO_HEAD = "head.", "photographs.head."
"""Layers with a row for each class."""
_FIXED = "photographs.features."
"""What is the same in every network."""


class Transferred(NamedTuple):
    """What was taken over from a model.

    Attributes
    ----------
    message : str
        One sentence that says it, and what starts anew.
    outputs : bool
        Whether the last layer knows all outputs.
    photographs : bool
        Whether the classifier of photographs' features knows them all.
    """

    message: str
    outputs: bool
    photographs: bool


def transfer_weights(
    network: nn.Module, config: ModelConfig, start: Model
) -> Transferred:
    """Copy what fits from a saved model into a new network.

    Weights of equal name and shape are taken over. In layers with a row for each class,
    each class that both know, by painted number, keeps its weights.

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
    heads = [name for name in new if name.startswith((_HEAD, _PHOTO_HEAD))]
    body = [n for n in new if n not in heads and not n.startswith(_FIXED)]
    fresh = []
    for name in body:
        if name in old and old[name].shape == new[name].shape:
            new[name].copy_(old[name])
        else:
            fresh.append(name)
    unknown = {
        prefix: _transfer_classes(
            new, old, [n for n in heads if n.startswith(prefix)], config, start.config
        )
        for prefix in (_HEAD, _PHOTO_HEAD)
    }
    return Transferred(
        _describe(len(body), fresh, unknown[_HEAD]),
        outputs=not unknown[_HEAD],
        photographs=not unknown[_PHOTO_HEAD]
        and config.network.in_channels == start.config.network.in_channels,
    )


def _transfer_classes(
    new: dict[str, torch.Tensor],
    old: dict[str, torch.Tensor],
    head: list[str],
    config: ModelConfig,
    old_config: ModelConfig,
) -> list[str]:
    rows = {c.value: i for i, c in enumerate(old_config.classes)}
    unknown = []
    if not config.classes:  # outputs without numbers, in the same order
        for name in head:
            if name in old and old[name].shape == new[name].shape:
                new[name].copy_(old[name])
            else:
                unknown.append(name)
    for row, info in enumerate(config.classes):
        source = rows.get(info.value)
        fits = source is not None and all(
            name in old and old[name].shape[1:] == new[name].shape[1:] for name in head
        )
        if not fits or source is None:
            unknown.append(info.name)
            continue
        for name in head:
            new[name][row].copy_(old[name][source])
    return unknown


def _describe(total: int, fresh: list[str], unknown: list[str]) -> str:
    if not fresh and not unknown:
        return "All weights of the starting model were taken over."
    parts = [f"{total - len(fresh)} of {total} weight tensors were taken over"]
    if fresh:
        parts.append(f"{fresh[0]!r} and {len(fresh) - 1} other(s) start anew")
    if unknown:
        parts.append(f"these outputs start anew: {', '.join(unknown)}")
    return "From the starting model " + "; ".join(parts) + "."
