"""Crops laid over each other."""

from __future__ import annotations

import pytest
import torch

from napari_fcn.config import AugmentationConfig
from napari_fcn.engine.augmentation import Augmenter
from napari_fcn.engine.overlay import _low, lay_over
from napari_fcn.engine.tasks.density import _varied

ALL = torch.tensor([True, True])


def crops(seed: int, channels: int = 1):
    """Two crops with a bright square each, on a ground of 0.1, and their targets."""
    random = torch.Generator().manual_seed(seed)
    image = torch.full((2, channels, 32, 32), 0.1)
    target = torch.zeros(2, 2, 32, 32)
    target[:, 1] = 1
    for n in range(2):
        y, x = torch.randint(0, 28, (2,), generator=random).tolist()
        image[n, :, y : y + 4, x : x + 4] = 0.7
        target[n, 0, y : y + 4, x : x + 4] = 1 / 16
    return image, target


def test_objects_of_both_are_there_and_counted():
    (image, target), others = crops(0), crops(1)
    both, density = lay_over(image, target, others, ALL)
    assert torch.allclose(density[:, 0].sum((1, 2)), torch.tensor([2.0, 2.0]))
    assert torch.equal(density[:, 0], target[:, 0] + others[1][:, 0])
    marked = density[:, 0] > 0
    assert (both[:, 0][marked] > 0.6).all()
    assert torch.allclose(both[:, 0][~marked], torch.tensor(0.1))


def test_light_adds_up_but_not_beyond_the_range():
    image, target = crops(0)
    both, _ = lay_over(image, target, (image, target), ALL)
    assert both.max() == pytest.approx(0.7 + (0.7 - 0.1) * (1 - 0.7))
    beyond, _ = lay_over(image + 2, target, (image + 2, target), ALL)
    assert torch.equal(beyond, image + 2)  # saturated already


def test_what_absorbs_multiplies():
    image, target = crops(0)
    dark = 1 - image
    both, density = lay_over(dark, target, (dark, target), ALL)
    bright, _ = lay_over(image, target, (image, target), ALL)
    assert torch.allclose(both, 1 - bright, atol=1e-6)
    assert density[:, 0].sum() == pytest.approx(4)
    clear, _ = lay_over(dark / 0.9, target, (dark / 0.9, target), ALL)
    assert torch.allclose(clear, (dark / 0.9) ** 2, atol=1e-6)  # Beer's law


def test_each_channel_is_as_its_objects_are():
    image, target = crops(0, channels=2)
    image[:, 1] = 1 - image[:, 1]
    both, _ = lay_over(image, target, (image, target), ALL)
    assert (both[:, 0] >= image[:, 0]).all()
    assert (both[:, 1] <= image[:, 1]).all()
    assert not torch.equal(both[:, 1], image[:, 1])


def test_only_the_chosen_ones_change():
    (image, target), others = crops(0), crops(1)
    both, density = lay_over(image, target, others, torch.tensor([True, False]))
    assert torch.equal(both[1], image[1])
    assert torch.equal(density[1], target[1])
    assert not torch.equal(density[0], target[0])


def test_densities_are_known_where_both_are():
    (image, target), others = crops(0), crops(1)
    target[:, 1, :16] = 0
    others[1][:, 1, :, 16:] = 0
    _, density = lay_over(image, target, others, ALL)
    assert torch.equal(density[0, 1].bool(), target[0, 1] * others[1][0, 1] > 0)


def test_volumes_and_empty_crops():
    image, target = torch.rand(2, 3, 4, 8, 8), torch.zeros(2, 2, 4, 8, 8)
    both, density = lay_over(image, target, (image, target), ALL)
    assert torch.isfinite(both).all()
    assert both.shape == image.shape
    assert torch.equal(density, target)


def test_coordinates_stay_those_of_the_crop_below():
    image, target = crops(0, channels=2)
    config = AugmentationConfig(flip=False, rotate=False, scale=0, elastic=0, overlay=1)
    augment = Augmenter(config, 2, torch.Generator(), "cpu", places=1)
    both, density = _varied(image, target, augment)
    assert torch.equal(both[:, 1], image[:, 1])
    assert not torch.equal(both[:, 0], image[:, 0])
    assert torch.allclose(density[:, 0].sum((1, 2)), torch.tensor([2.0, 2.0]))


def test_the_ground_is_a_low_intensity_whatever_the_size():
    values = torch.arange(1001.0).flip(0).view(1, 1, -1)
    assert float(_low(values)) == 100
    assert float(_low(values[..., :1])) == 1000
