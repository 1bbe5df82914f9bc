"""All networks with what can be computed from them, for people and programs."""

from __future__ import annotations

from typing import Any

import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.networks.receptive_field import receptive_field
from napari_fcn.networks.registry import ARCHITECTURES, build_network, count_parameters


def list_networks(ndim: int = 2) -> list[dict[str, Any]]:
    """Describe every network with its default settings, one channel and two classes.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimension.

    Returns
    -------
    list of dict
        ``name``, ``parameters``, and per axis ``receptive_field`` and ``stride`` in
        pixels, by name.
    """
    rows = []
    for name in sorted(ARCHITECTURES):
        with torch.device("meta"):  # takes no memory, whatever the size
            config = NetworkConfig.model_validate({"name": name, "ndim": ndim})
            network = build_network(config)
        field = receptive_field(network, ndim)
        rows.append(
            {
                "name": name,
                "parameters": count_parameters(network),
                "receptive_field": list(field.size),
                "stride": list(field.stride),
            }
        )
    return rows


def as_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return a table of what `list_networks` found, with a title for each network."""
    lines = [("name", "parameters", "sees", "stride", "")]
    for row in rows:
        seen = "x".join(map(str, row["receptive_field"]))
        stride = "x".join(map(str, row["stride"]))
        title = ARCHITECTURES[row["name"]].title
        lines.append((row["name"], f"{row['parameters']:,}", seen, stride, title))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return [
        f"{n:{widths[0]}}  {p:>{widths[1]}}  {f:>{widths[2]}}  {s:>{widths[3]}}  {t}"
        for n, p, f, s, t in lines
    ]
