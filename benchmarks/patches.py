"""The patch classifier: its window sliding over an image, against one pass.

Both give the same outputs; the pass is the converted, fully convolutional network.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from benchmarks.report import Report, median_seconds
from napari_fcn.config import NetworkConfig
from napari_fcn.networks import PatchClassifier, to_dense
from napari_fcn.networks.patch import window_size

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 64


def run(*, short: bool) -> Report:
    report = Report(
        "The patch classifier: seconds for all pixels of an image",
        {"windows at a time": BATCH, "median of": 3},
        notes=["Processor time over all threads; the largest difference is of logits."],
    )
    cases = [(2, 64)] if short else [(2, 64), (3, 32), (4, 32)]
    for depth, edge in cases:
        torch.manual_seed(0)
        classifier = PatchClassifier(NetworkConfig(name="patch", depth=depth)).eval()
        dense = to_dense(classifier)
        image = torch.rand(1, 1, edge, edge)
        sides: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
            lambda x, c=classifier, d=dense, n=edge: slide(c, d.mirror(x), n),
            dense,
        )
        with torch.inference_mode():
            answers, seconds = zip(*(timed(side, image) for side in sides), strict=True)
        report.rows.append(
            {
                "window": f"{window_size(depth)} x {window_size(depth)}",
                "image": f"{edge} x {edge}",
                "sliding": seconds[0],
                "one pass": seconds[1],
                "times faster": seconds[0] / seconds[1],
                "largest difference": f"{(answers[0] - answers[1]).abs().max():.1e}",
            }
        )
    return report


def slide(network: PatchClassifier, mirrored: torch.Tensor, edge: int) -> torch.Tensor:
    """Return logits (1, K, edge, edge) from one window after the other."""
    size = window_size(network.config.depth)
    windows = mirrored[0, 0].unfold(0, size, 1).unfold(1, size, 1)
    windows = windows[:edge, :edge].reshape(-1, 1, size, size)
    parts = [network(windows[i : i + BATCH]) for i in range(0, len(windows), BATCH)]
    return torch.cat(parts).T.view(1, -1, edge, edge)


def timed(
    call: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor
) -> tuple[torch.Tensor, float]:
    taken = []
    for _ in range(3):
        start = time.process_time()
        answer = call(image)
        taken.append(time.process_time() - start)
    return answer, median_seconds(taken)
