"""Learning features in which a head solved from few strokes does well.

The network's last layer is not learned: for each task it is the solution of a logistic
regression on the painted pixels, as when people paint, which can be differentiated
(Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers"). What
is learned is the body, so that the head found from strokes is right on all pixels,
painted or not, of the painted image and of another one of the same style.
"""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.solved_head import body_features
from napari_fcn.networks.blocks import batch_norms
from pretraining.episodes import stack
from pretraining.logistic import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from pretraining.episodes import Episode

BATCH = 3
PEAK_RATE = 4e-3
FREEZE = 0.6
"""Share of the run after which batch norm keeps its statistics, as when predicting."""
_AVERAGING = 0.01


class Learner:
    """A body in training.

    Parameters
    ----------
    network : nn.Module
        A network with a layer ``head``.
    seed : int
        Of the order of tasks and their variation.
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(network)
        self._random = np.random.default_rng(seed)
        self._compute = choose_compute("cpu", "auto")
        self._loss = build_loss("ce+jaccard")
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=PEAK_RATE, weight_decay=1e-4
        )

    def step(self, episodes: Sequence[Episode], progress: float) -> float:
        """Learn from a few tasks; returns the loss."""
        self.network.train()
        if progress > FREEZE:
            freeze_statistics(self.network)
        rate = PEAK_RATE * min(1.0, progress * 50 + 0.02)
        rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        images, truth, strokes = stack(episodes)
        images, truth, strokes = vary(images, truth, strokes, self._random)
        loss = self._loss_of(images, truth, strokes)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        self._update_average(max(_AVERAGING, 1 - 20 * progress))
        return float(loss.detach())

    def _loss_of(self, images: Tensor, truth: Tensor, strokes: Tensor) -> Tensor:
        with self._compute.autocast():
            features = body_features(self.network, channels_last(images.flatten(0, 1)))
        features = features.float().view(*images.shape[:2], *features.shape[1:])
        losses = [
            self._loss(logits_of(mine, painted), target - 1)
            for mine, target, painted in zip(features, truth, strokes, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _update_average(self, rate: float) -> None:
        theirs = self.network.state_dict()
        for name, tensor in self.average.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(theirs[name], rate)
            else:
                tensor.copy_(theirs[name])


def logits_of(features: Tensor, strokes: Tensor) -> Tensor:
    """Solve the head on the strokes of the first image; apply it to all images.

    Parameters
    ----------
    features : Tensor
        float32 (I, D, Y, X).
    strokes : Tensor
        int64 (Y, X), classes from 1, 0 where not painted.

    Returns
    -------
    Tensor
        float32 (I, K, Y, X).
    """
    painted = strokes > 0
    weight, bias = solve(features[0][:, painted].T, strokes[painted] - 1)
    logits = torch.einsum("kd,idyx->ikyx", weight, features)
    return logits + bias[:, None, None]


def channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def freeze_statistics(network: nn.Module) -> None:
    """Let batch norm use what it has gathered, as when predicting."""
    for module in batch_norms(network):
        module.eval()


def vary(
    images: Tensor, truth: Tensor, strokes: Tensor, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Flip, turn by quarters, change colours and contrast; alike within a task."""
    if random.random() < 0.5:
        images, truth, strokes = (t.flip(-1) for t in (images, truth, strokes))
    turns = int(random.integers(4))
    images, truth, strokes = (
        torch.rot90(t, turns, (-2, -1)) for t in (images, truth, strokes)
    )
    order = torch.from_numpy(random.permutation(3))
    changed = []
    for image in images[:, :, order]:
        if random.random() < 0.5:
            image = 1 - image
        gamma = float(np.exp(random.normal(0, 0.25)))
        image = image.sign() * image.abs() ** gamma
        contrast = float(np.exp(random.normal(0, 0.15)))
        changed.append(image * contrast + random.normal(0, 0.08))
    return torch.stack(changed), truth, strokes


@torch.no_grad()
def validate(network: nn.Module, episodes: Sequence[Episode]) -> dict[str, float]:
    """Return the mean Dice of the objects on the painted and on the other image."""
    network.eval()
    dice: list[list[float]] = [[], []]
    for episode in episodes:
        images, truth, strokes = stack([episode])
        features = body_features(network, channels_last(images[0]))
        found = logits_of(features, strokes[0]).argmax(1) + 1
        for values, mine, right in zip(dice, found, truth[0], strict=True):
            values += [
                _dice(mine == c, right == c) for c in range(2, int(truth.max()) + 1)
            ]
    return {
        "same image": float(np.mean(dice[0])),
        "other image": float(np.mean(dice[1])),
    }


def _dice(found: Tensor, right: Tensor) -> float:
    both = float((found & right).sum())
    return 2 * both / max(float(found.sum() + right.sum()), 1.0)


def learn(
    network: nn.Module,
    bank: Sequence[Episode],
    held: Sequence[Episode],
    steps: int,
    seed: int,
    tell: Callable[[str], None],
) -> nn.Module:
    """Train a body on a bank of tasks; returns the average of its weights.

    Parameters
    ----------
    network : nn.Module
        With a layer ``head``, which is not used.
    bank, held : sequence of Episode
        To learn from, and to score on.
    steps : int
        Of `BATCH` tasks each.
    seed : int
        Of everything random.
    tell : callable
        Told a line now and then.
    """
    learner, random = Learner(network, seed), np.random.default_rng(seed + 1)
    start, losses = time.perf_counter(), []
    for step in range(steps):
        chosen = random.integers(0, len(bank), BATCH)
        losses.append(learner.step([bank[i] for i in chosen], step / steps))
        if (step + 1) % max(1, steps // 20) == 0:
            seconds = time.perf_counter() - start
            scores = validate(learner.average, held)
            said = ", ".join(f"{k} {v:.3f}" for k, v in scores.items())
            loss = np.mean(losses[-200:])
            tell(f"step {step + 1}, {seconds:.0f} s, loss {loss:.3f}, Dice {said}")
    return learner.average.eval()
