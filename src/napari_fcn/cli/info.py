"""The verbs ``info`` and ``networks``, which tell what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.cli.arguments import add_json, add_model, add_verb
from napari_fcn.console import show

if TYPE_CHECKING:
    import argparse

    from napari_fcn.engine.model import Model


def add_info(verbs: Any) -> None:
    """Add the verb ``info`` and its arguments."""
    parser = add_verb(verbs, "info", run_info, "tell what a model is")
    add_model(parser)
    add_json(parser)


def add_networks(verbs: Any) -> None:
    """Add the verb ``networks``."""
    parser = add_verb(verbs, "networks", run_networks, "list the networks")
    add_json(parser)


def describe(model: Model) -> dict[str, Any]:
    """Return what a model is, as ``info`` and ``train`` print it."""
    from napari_fcn.networks import count_parameters

    config, field = model.config, model.receptive_field
    return {
        "task": config.task,
        "network": config.network.name,
        "ndim": config.network.ndim,
        "scales": config.network.scales,
        "photo_features": config.network.photo_features,
        "filter_features": config.network.filter_features,
        "parameters": count_parameters(model.network),
        "receptive_field": list(field.size),
        "stride": list(field.stride),
        "in_channels": config.network.in_channels,
        "out_channels": config.network.out_channels,
        "classes": [c.model_dump() for c in config.classes],
        **{
            name: part.model_dump()
            for name, part in (
                ("density", config.density),
                ("regression", config.regression),
            )
            if part is not None
        },
        "training": config.training,
    }


def run_info(options: argparse.Namespace) -> dict[str, Any]:
    """Tell what a model is."""
    from napari_fcn.engine.model import load_model

    result = describe(load_model(options.model))
    if not options.json:
        for name, value in result.items():
            show(f"{name}: {value}")
    return result


def run_networks(options: argparse.Namespace) -> dict[str, Any]:
    """List the networks."""
    from napari_fcn.networks.listing import as_lines, list_networks

    rows = list_networks()
    if not options.json:
        for line in as_lines(rows):
            show(line)
    return {"networks": rows}
