"""Every loss of every task with hardly anything annotated: ten pixels of a crop."""

from __future__ import annotations

import pytest
import torch

from napari_fcn.config import NetworkConfig
from napari_fcn.config.catalogue import LOSS_WORDS
from napari_fcn.engine import density_losses, image_losses
from napari_fcn.engine.density_losses import DensityLoss, densities
from napari_fcn.engine.image_losses import SumOfImageLosses
from napari_fcn.engine.losses import IGNORE, LOSSES, build_loss
from napari_fcn.networks import build_network

WITH_SETTINGS = ["power-jaccard:1.5", "focal:3", "cldice:3", "ce-border:5"]
SEGMENTATION = sorted({*LOSSES, *LOSS_WORDS, *WITH_SETTINGS})
DENSITY = [*density_losses.LOSSES, "l2+counts"]
IMAGES = [*image_losses.LOSSES, "l1+ssim"]
SIZE = 24
NETWORK = NetworkConfig(name="cnn", width=8, layers=2)

SCATTERED = (
    ([1, 5, 9, 16, 22], [3, 20, 8, 14, 1]),
    ([2, 6, 11, 17, 21], [9, 2, 21, 5, 19]),
)
STROKES = ([6] * 5, list(range(4, 9))), ([15] * 5, list(range(12, 17)))
BOTH = pytest.mark.parametrize("places", [SCATTERED, STROKES], ids=["dots", "strokes"])


def crop(places) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise (1, 1, Y, X), and five pixels of each of two classes in it."""
    image = torch.randn((1, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    target = torch.full((1, SIZE, SIZE), IGNORE)
    for value, (rows, columns) in enumerate(places):
        target[0, rows, columns] = value
    return image, target


def learn(network, image, loss, steps: int) -> torch.Tensor:
    """Train some steps; returns the output."""
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(network(image)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)  # as the trainer
        optimiser.step()
    return network(image).detach()


@BOTH
@pytest.mark.parametrize("name", SEGMENTATION)
def test_gradients_are_where_pixels_are_annotated_and_nowhere_else(name, places):
    image, target = crop(places)
    logits = torch.cat([image, -0.5 * image], 1).requires_grad_()
    build_loss(name)(logits, target).backward()
    reached = (logits.grad != 0).any(1)
    assert torch.equal(reached, target != IGNORE)


def brings_right(name: str) -> str:
    """The loss to learn with: clDice compares lines, and single dots are none.

    It is made to be added to another loss, which brings dots right.
    """
    return f"dice+{name}" if name.startswith("cldice") else name


@BOTH
@pytest.mark.parametrize("name", SEGMENTATION)
def test_some_steps_bring_the_annotated_pixels_right(name, places):
    image, target = crop(places)
    seen = target != IGNORE
    torch.manual_seed(1)
    network = build_network(NETWORK)
    wrong = (network(image).argmax(1) != target)[seen].sum()
    assert wrong > 2
    loss = build_loss(brings_right(name))
    output = learn(network, image, lambda logits: loss(logits, target), 40)
    assert torch.equal(output.argmax(1)[seen], target[seen])


@BOTH
@pytest.mark.parametrize("name", DENSITY)
def test_densities_of_ten_pixels(name, places):
    image, target = crop(places)
    seen = (target != IGNORE).float()[:, None]
    wanted, peaks = (target == 1).float()[:, None], torch.tensor([0.5])
    loss = DensityLoss.of(name)
    output = image.clone().requires_grad_()
    loss(densities(output), wanted, seen, peaks).backward()
    gradient = output.grad[:, :, :16, :16]  # beyond them there is no whole block
    allowed = seen[:, :, :16, :16] > 0
    assert torch.equal(gradient != 0, allowed)
    assert not output.grad[seen == 0].any()

    def error(values: torch.Tensor) -> torch.Tensor:
        return loss(densities(values), wanted, seen, peaks)

    torch.manual_seed(1)
    network = build_network(NETWORK.model_copy(update={"out_channels": 1}))
    before = error(network(image).detach())
    assert error(learn(network, image, error, 40)) < 0.2 * before


@BOTH
@pytest.mark.parametrize("name", IMAGES)
def test_images_of_ten_pixels(name, places):
    image, target = crop(places)
    seen = (target != IGNORE).float()[:, None]
    wanted = (target == 1).float()[:, None] + 0.2 * image
    loss = SumOfImageLosses.of(name)
    output = image.repeat(1, 1 + loss.spread, 1, 1).requires_grad_()
    loss(output, wanted, seen).backward()
    assert torch.equal((output.grad != 0).any(1, keepdim=True), seen > 0)

    def error(values: torch.Tensor) -> torch.Tensor:
        return loss(values, wanted, seen)

    torch.manual_seed(1)
    channels = 1 + loss.spread
    network = build_network(NETWORK.model_copy(update={"out_channels": channels}))
    before = error(network(image).detach())
    output = learn(network, image, error, 100)
    assert error(output) < 0.6 * before
    if name != "ssim":  # which compares windows, and not the values of pixels
        assert (output[:, :1] - wanted)[seen > 0].abs().mean() < 0.15
