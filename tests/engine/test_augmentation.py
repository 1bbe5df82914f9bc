"""Augmentation: image and target move together, and nothing else happens."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config.training import AugmentationConfig
from napari_fcn.engine.augmentation import Augmenter, gaussian_blur
from napari_fcn.engine.losses import IGNORE

OFF = {
    "flip": False,
    "rotate": False,
    "scale": 0,
    "elastic": 0,
    "brightness": 0,
    "contrast": 0,
    "noise": 0,
    "blur": 0,
}
GEOMETRY = {"flip": True, "rotate": True, "scale": 0.25, "elastic": 2.0}
SHAPES = [(40, 40), (24, 50), (6, 32, 40)]


def augmenter(ndim: int, seed: int = 0, **settings: float) -> Augmenter:
    config = AugmentationConfig(**{**OFF, **settings})
    return Augmenter(config, ndim, torch.Generator().manual_seed(seed), "cpu")


def batch(spatial: tuple[int, ...], n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(n, 2, *spatial, generator=generator)
    return image, torch.randint(-1, 3, (n, *spatial), generator=generator)


def blob(spatial: tuple[int, ...], n: int = 8) -> torch.Tensor:
    """A class-1 box off the centre on class 0."""
    target = torch.zeros(n, *spatial, dtype=torch.int64)
    inside = tuple(slice(edge // 8, edge // 2) for edge in spatial)
    target[(slice(None), *inside)] = 1
    return target


@pytest.mark.parametrize("spatial", SHAPES)
def test_off_is_the_identity(spatial) -> None:
    image, target = batch(spatial)
    new_image, new_target = augmenter(len(spatial))(image, target)
    assert torch.equal(new_image, image)
    assert torch.equal(new_target, target)


@pytest.mark.parametrize("spatial", SHAPES)
def test_image_and_target_move_together(spatial) -> None:
    target = blob(spatial)
    image = target.float().unsqueeze(1)
    new_image, new_target = augmenter(len(spatial), **GEOMETRY)(image, target)
    seen = new_target != IGNORE
    agree = new_image[:, 0].round().long() == new_target
    # nearest and linear interpolation may disagree only on the edges of the box
    assert agree[seen].float().mean() > 0.97
    assert (new_target == 1).any()
    assert not torch.equal(new_target, target)


def test_what_lies_outside_is_not_annotated() -> None:
    spatial = (32, 32)
    target = torch.ones(16, *spatial, dtype=torch.int64)
    image = torch.ones(16, 1, *spatial)
    new_image, new_target = augmenter(2, rotate=True, scale=1.0)(image, target)
    assert set(new_target.unique().tolist()) == {IGNORE, 1}
    torch.testing.assert_close(new_image, image)


def test_ignored_stays_ignored() -> None:
    image, _ = batch((20, 20))
    nothing = torch.full((4, 20, 20), IGNORE)
    _, target = augmenter(2, **GEOMETRY)(image, nothing)
    assert torch.equal(target, nothing)


def test_a_thousand_classes_are_exact() -> None:
    target = torch.arange(1024).view(1, 32, 32)
    _, flipped = augmenter(2, flip=True)(torch.zeros(1, 1, 32, 32), target)
    assert torch.equal(flipped.flatten().sort().values, torch.arange(1024))


@pytest.mark.parametrize("spatial", [(5, 8), (4, 5, 7)])
def test_flips_only_reorder_and_reach_every_axis(spatial) -> None:
    image, target = batch(spatial, n=1)
    axes = range(1, len(spatial) + 1)
    seen = set()
    vary = augmenter(len(spatial), flip=True)
    for _ in range(100):
        new_image, new_target = vary(image, target)
        flips = [
            tuple(a for a in axes if chosen >> a & 1)
            for chosen in range(0, 2 ** (len(spatial) + 1), 2)
        ]
        found = [f for f in flips if torch.equal(target.flip(f), new_target)]
        assert len(found) == 1
        moved = image.flip([a + 1 for a in found[0]])
        torch.testing.assert_close(new_image, moved, atol=1e-4, rtol=0)
        seen.add(found[0])
    assert len(seen) == 2 ** len(spatial)


def test_rotation_keeps_a_disc_in_a_wide_crop() -> None:
    y, x = torch.meshgrid(torch.arange(31) - 15, torch.arange(61) - 30, indexing="ij")
    disc = (y**2 + x**2 < 12**2).long().expand(8, -1, -1)
    _, target = augmenter(2, rotate=True)(disc.float().unsqueeze(1), disc)
    area = (target == 1).sum((1, 2)).float()
    assert ((area / disc[0].sum() - 1).abs() < 0.05).all()
    assert ((target == 1) & (disc == 1)).sum() > 0.95 * disc.sum()


@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_zoom_stays_in_its_range(scale) -> None:
    target = torch.zeros(64, 64, 64, dtype=torch.int64)
    target[:, 24:40, 24:40] = 1
    _, zoomed = augmenter(2, scale=scale)(target.float().unsqueeze(1), target)
    factor = ((zoomed == 1).sum((1, 2)) / 256).sqrt()
    assert factor.max() <= 1.1 * (1 + scale)
    assert factor.min() >= 0.9 / (1 + scale)
    assert factor.max() > 1.1
    assert factor.min() < 0.9


@pytest.mark.parametrize("elastic", [0.5, 2.0, 5.0])
def test_elastic_has_the_standard_deviation_asked_for(elastic) -> None:
    shift = displacement(elastic)
    assert shift.std().item() == pytest.approx(elastic, rel=0.15)


@pytest.mark.parametrize("elastic", [2.0, 5.0, 20.0])
def test_elastic_hardly_ever_folds_over(elastic) -> None:
    shift = displacement(elastic)
    along_y, along_x = shift.diff(dim=1)[:, :, 1:], shift.diff(dim=2)[:, 1:]
    area = (1 + along_x[..., 0]) * (1 + along_y[..., 1])
    area = area - along_x[..., 1] * along_y[..., 0]
    assert (area <= 0).float().mean() < 1e-3


def displacement(elastic: float) -> torch.Tensor:
    """Displacement (N, Y, X, 2) in pixels."""
    image = torch.zeros(64, 1, 128, 128)
    grid = augmenter(2, elastic=elastic).geometry(image).grid
    still = F.affine_grid(torch.eye(2, 3).expand(64, 2, 3), image.shape, False)
    return (grid - still) * 64


def test_sections_of_a_volume_move_alike() -> None:
    section = batch((32, 40))[1]
    volume = section.unsqueeze(1).expand(-1, 5, -1, -1)
    settings = {**GEOMETRY, "flip": False}
    _, moved = augmenter(3, **settings)(torch.zeros(4, 1, 5, 32, 40), volume)
    _, alone = augmenter(2, **settings)(torch.zeros(4, 1, 32, 40), section)
    assert torch.equal(moved, alone.unsqueeze(1).expand(-1, 5, -1, -1))


def test_contrast_keeps_the_mean_and_brightness_shifts_it() -> None:
    image, target = batch((16, 16), n=32)
    contrasted, _ = augmenter(2, contrast=0.5, each_channel=False)(image, target)
    torch.testing.assert_close(contrasted.mean((2, 3)), image.mean((2, 3)))
    factor = (contrasted.std((2, 3)) / image.std((2, 3))).log()
    assert factor.abs().max() <= 0.501
    assert factor.std() > 0.1
    together = augmenter(2, brightness=0.5, each_channel=False)
    shift = together(image, target)[0] - image
    assert shift.std((1, 2, 3)).max() < 1e-6
    assert 0.3 < shift.abs().max() <= 0.501


@pytest.mark.parametrize("spatial", [(16, 16), (3, 16, 16)])
def test_channels_vary_by_themselves_too(spatial) -> None:
    image, target = batch(spatial, n=32)
    everywhere = tuple(range(2, image.ndim))
    shift = augmenter(len(spatial), brightness=0.5)(image, target)[0] - image
    assert shift.std(everywhere).max() < 1e-6
    shift = shift.mean(everywhere)
    assert 0.501 < shift.abs().max() <= 1.001
    assert (shift[:, 0] - shift[:, 1]).abs().median() > 0.1
    contrasted, _ = augmenter(len(spatial), contrast=0.5)(image, target)
    factor = (contrasted.std(everywhere) / image.std(everywhere)).log()
    assert (factor[:, 0] - factor[:, 1]).abs().median() > 0.1
    torch.testing.assert_close(contrasted.mean(everywhere), image.mean(everywhere))


def test_an_image_of_one_channel_varies_no_more_for_it() -> None:
    image, _ = batch((16, 16))
    grey = image[:, :1]
    light = {"brightness": 0.5, "contrast": 0.5}
    one = augmenter(2, **light).vary_light(grey)
    assert torch.equal(one, augmenter(2, **light, each_channel=False).vary_light(grey))


def test_light_alone_varies_without_blur_noise_and_places() -> None:
    image, _ = batch((16, 16))
    assert not augmenter(2, noise=1, blur=1).varies_channels
    assert not augmenter(2, contrast=1, each_channel=False).varies_channels
    assert torch.equal(augmenter(2, noise=1, blur=1).vary_light(image), image)
    config = AugmentationConfig(**{**OFF, "brightness": 1})
    seeing_places = Augmenter(config, 2, torch.Generator(), "cpu", places=1)
    assert seeing_places.varies_channels
    varied = seeing_places.vary_light(image)
    assert torch.equal(varied[:, 1], image[:, 1])
    assert not torch.equal(varied[:, 0], image[:, 0])


def test_noise_and_blur_touch_some_samples_only() -> None:
    image, target = batch((16, 16), n=200)
    for name, share in (("noise", 0.5), ("blur", 0.3)):
        new_image, new_target = augmenter(2, **{name: 1.0})(image, target)
        touched = (new_image != image).flatten(1).any(1).float().mean().item()
        assert touched == pytest.approx(share, abs=0.1)
        assert torch.equal(new_target, target)


@pytest.mark.parametrize("spatial", [(31, 31), (3, 31, 31)])
def test_blur_is_a_gaussian(spatial) -> None:
    image = torch.zeros(2, 1, *spatial)
    image[..., 15, 15] = 1
    blurred = gaussian_blur(image, torch.tensor([0.0, 2.0]))
    assert torch.equal(blurred[0], image[0])
    sections = blurred[1].reshape(-1, 31, 31)
    offsets = torch.arange(31) - 15.0
    for section in sections:
        assert section.sum().item() == pytest.approx(1)
        variance = (section.sum(0) * offsets**2).sum().item()
        assert variance == pytest.approx(4, rel=0.05)
        torch.testing.assert_close(section, section.T)


def test_blur_keeps_a_constant() -> None:
    image = torch.full((3, 2, 5, 6), 7.0)
    torch.testing.assert_close(gaussian_blur(image, torch.tensor([0, 1, 5.0])), image)


@pytest.mark.parametrize("spatial", SHAPES)
def test_the_same_seed_gives_the_same(spatial) -> None:
    image, target = batch(spatial)
    runs = []
    for seed in (3, 3, 4):
        vary = Augmenter(
            AugmentationConfig(),
            len(spatial),
            torch.Generator().manual_seed(seed),
            torch.device("cpu"),
        )
        torch.rand(1)  # the global generator plays no part
        runs.append([vary(image, target) for _ in range(3)])
    for one, same, other in zip(*runs, strict=True):
        assert torch.equal(one[0], same[0])
        assert torch.equal(one[1], same[1])
        assert not torch.equal(one[0], other[0])
    assert not torch.equal(runs[0][0][0], runs[0][1][0])


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    image, target = batch((20, 20))
    augmenter(2, **GEOMETRY, noise=1.0, blur=1.0, contrast=1.0)(image, target)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_arguments_stay_as_they_are() -> None:
    image, target = batch((20, 20), n=16)
    copies = image.clone(), target.clone()
    Augmenter(AugmentationConfig(), 2, torch.Generator().manual_seed(0), "cpu")(
        image, target
    )
    assert torch.equal(image, copies[0])
    assert torch.equal(target, copies[1])


def test_other_images_follow_the_same_geometry() -> None:
    image, _ = batch((24, 24))
    geometry = augmenter(2, **GEOMETRY).geometry(image)
    assert torch.equal(geometry.warp(image)[:, :1], geometry.warp(image[:, :1]))


@settings(max_examples=60)
@given(
    spatial=st.lists(st.integers(1, 20), min_size=2, max_size=3),
    n=st.integers(1, 3),
    channels=st.integers(1, 3),
    strong=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_size(spatial, n, channels, strong, seed) -> None:
    largest = {
        "scale": 1,
        "elastic": 20,
        "brightness": 2,
        "contrast": 2,
        "noise": 2,
        "blur": 5,
    }
    config = AugmentationConfig(**(largest if strong else {}))
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(n, channels, *spatial, generator=generator)
    target = torch.randint(-1, 3, (n, *spatial), generator=generator)
    vary = Augmenter(config, len(spatial), generator, "cpu")
    new_image, new_target = vary(image, target)
    assert new_image.shape == image.shape
    assert new_image.dtype == torch.float32
    assert new_image.isfinite().all()
    assert new_target.shape == target.shape
    assert new_target.dtype == torch.int64
    assert set(new_target.unique().tolist()) <= {*target.unique().tolist(), IGNORE}


def test_bad_shapes() -> None:
    image, target = batch((8, 8))
    with pytest.raises(ValueError, match="spatial axes"):
        augmenter(3)(image, target)
    with pytest.raises(ValueError, match="spatial axes"):
        augmenter(2)(image, target[:, 1:])
    with pytest.raises(ValueError, match="2 or 3"):
        augmenter(4)
