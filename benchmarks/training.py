"""Speed of a training step and of the live prediction, paired in one run.

Both sides do the same arithmetic on the same random crops: plain float32 in
contiguous memory, and the precision and memory layout that the product chooses.
They take turns, so that a change of load meets both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.report import Report, median_seconds
from napari_fcn.config import NetworkConfig, TrainingConfig
from napari_fcn.engine.device import Compute, choose_compute, memory_format
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.tasks.base import DEFAULT_BATCH, DEFAULT_CROP
from napari_fcn.networks import build_network

if TYPE_CHECKING:
    from collections.abc import Callable

LIVE_VIEW = (512, 512)


@dataclass
class Side:
    """One way to compute: precision and memory layout."""

    compute: Compute
    layout: torch.memory_format

    def place(self, ndim: int) -> torch.nn.Module:
        torch.manual_seed(0)
        network = build_network(NetworkConfig(ndim=ndim))
        return network.to(self.compute.device, memory_format=self.layout)

    def training_step(self, ndim: int) -> Callable[[], object]:
        """Return one step on fixed crops, a twentieth of whose pixels is annotated."""
        config, loss = TrainingConfig(), build_loss(TrainingConfig().loss)
        network = self.place(ndim).train()
        optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate)
        random = torch.Generator().manual_seed(0)
        shape = (DEFAULT_BATCH[ndim], *DEFAULT_CROP[ndim])
        image = torch.randn(shape, generator=random).unsqueeze(1)
        target = torch.randint(0, 2, shape, generator=random)
        target[torch.rand(shape, generator=random) > 0.05] = -1
        image = self._moved(image)
        target = target.to(self.compute.device)

        def step() -> float:
            with self.compute.autocast():
                logits = network(image)
            value = loss(logits, target)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            return float(value.detach())

        return step

    def prediction(self) -> Callable[[], object]:
        """Return the prediction of the labels of what a viewer shows."""
        network = self.place(2).eval()
        random = np.random.default_rng(0)
        image = random.normal(size=(1, 1, *LIVE_VIEW)).astype(np.float32)

        def predict() -> np.ndarray:
            with torch.inference_mode(), self.compute.autocast():
                logits = network(self._moved(torch.from_numpy(image)))
            return logits[0].argmax(0).cpu().numpy()

        return predict

    def _moved(self, image: torch.Tensor) -> torch.Tensor:
        return image.to(self.compute.device).contiguous(memory_format=self.layout)


def take_turns(
    calls: list[Callable[[], object]], repeats: int, warm_up: int = 2
) -> list[float]:
    """Return the median seconds of each call, measured in turns."""
    samples: list[list[float]] = [[] for _ in calls]
    for turn in range(warm_up + repeats):
        for call, taken in zip(calls, samples, strict=True):
            start = time.perf_counter()
            call()
            if turn >= warm_up:
                taken.append(time.perf_counter() - start)
    return [median_seconds(taken) for taken in samples]


def run(*, short: bool) -> Report:
    """Measure steps in 2D and 3D and the prediction of a view."""
    chosen = choose_compute()
    plain = Compute(chosen.device)
    repeats = 3 if short else 11
    report = Report(
        "Speed of training and of the live prediction, seconds",
        {"product": f"{chosen.dtype}, channels last", "median of": repeats},
    )
    for ndim in (2, 3):
        sides = [
            Side(plain, torch.contiguous_format),
            Side(chosen, memory_format(ndim)),
        ]
        crops = f"{DEFAULT_BATCH[ndim]} x {'x'.join(map(str, DEFAULT_CROP[ndim]))}"
        steps = [side.training_step(ndim) for side in sides]
        _add(report, f"training step, {ndim}D, {crops}", take_turns(steps, repeats))
        if ndim == 2:
            views = [side.prediction() for side in sides]
            name = f"prediction of {'x'.join(map(str, LIVE_VIEW))}"
            _add(report, name, take_turns(views, repeats))
    return report


def _add(report: Report, what: str, seconds: list[float]) -> None:
    plain, product = seconds
    report.rows.append(
        {
            "what": what,
            "float32 contiguous": plain,
            "product": product,
            "ratio": plain / product,
        }
    )
