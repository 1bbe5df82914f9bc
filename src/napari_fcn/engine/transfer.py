"""Starting from a saved model whose classes or channels differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_fcn.config import ModelConfig
    from napari_fcn.engine.model import Model


_HEADS = ("head.", "photographs.head.")
"""Layers with a row for each class."""


def transfer_weights(network: nn.Module, config: ModelConfig, start: Model) -> str:
    """Copy what fits from a saved model into a new network.

    Weights of equal name and shape are taken over. In the last layer each class that
    both know, by painted number, keeps its weights.

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
    str
        One sentence that says what was taken over and what starts anew.
    """
    old, new = start.network.state_dict(), network.state_dict()
    head = [name for name in new if name.startswith(_HEADS)]
    fresh = []
    for name, tensor in new.items():
        if name in head:
            continue
        if name in old and old[name].shape == tensor.shape:
            tensor.copy_(old[name])
        else:
            fresh.append(name)
    unknown = _transfer_classes(new, old, head, config, start.config)
    return _describe(len(new) - len(head), fresh, unknown)


def unknown_classes(config: ModelConfig, start: ModelConfig) -> list[str]:
    """Return the names of the classes that a model to start from does not know."""
    known = {c.value for c in start.classes}
    return [c.name for c in config.classes if c.value not in known]


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
