"""Speed of a prediction by the network that learns from strokes, paired in one run.

The same images go through the U-Net alone, with features of photographs, and with fixed
filters, too, in the memory layout that models are read into; and through the last of
them in contiguous memory. They take turns, so that a change of load meets all of them.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from benchmarks.report import Report
from benchmarks.training import take_turns
from napari_fcn.config import NetworkConfig
from napari_fcn.engine.device import choose_compute, in_fast_layout
from napari_fcn.engine.predict import run_network
from napari_fcn.networks import build_network

_PARTS = {
    "U-Net": (False, False),
    "photographs": (True, False),
    "filters": (True, True),
}
"""Whether features of photographs have a say, and whether filters have."""


def _network(channels: int, photographs: bool, filters: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    config = NetworkConfig(
        in_channels=channels,
        scales=2,
        photo_features=photographs,
        filter_features=filters,
    )
    return build_network(config).eval()


def run(*, short: bool) -> Report:
    """Measure images of one and of three channels."""
    compute = choose_compute()
    repeats = 3 if short else 11
    report = Report(
        "Speed of a prediction with shipped weights and what they come with, seconds",
        {"precision": str(compute.dtype), "median of": repeats},
        notes=[
            "*filters* are seen together with *photographs*; *contiguous* is the same "
            "network as *filters* in the layout that PyTorch gives it, and *gain* what "
            "the layout is worth."
        ],
    )
    for channels in (1, 3):
        parts = [in_fast_layout(_network(channels, *p), 2) for p in _PARTS.values()]
        plain = _network(channels, *_PARTS["filters"])
        for edge in (512, 256):
            shape = (channels, edge, edge)
            image = np.random.default_rng(0).random(shape, np.float32)
            calls = [partial(run_network, n, image, compute) for n in (*parts, plain)]
            *seconds, contiguous = take_turns(calls, repeats)
            report.rows.append(
                {
                    "image": f"{edge} x {edge}, {channels} channel(s)",
                    **dict(zip(_PARTS, seconds, strict=True)),
                    "contiguous": contiguous,
                    "gain": contiguous / seconds[-1],
                }
            )
    return report
