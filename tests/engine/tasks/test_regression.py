"""Image to image: units come back, only trusted pixels count, noise is removed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_fcn.config import AugmentationConfig, NetworkConfig, TrainingConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.blind_spot import hide_pixels
from napari_fcn.engine.dihedral import vary_exactly
from napari_fcn.engine.image_losses import LOSSES, SumOfImageLosses, structural
from napari_fcn.engine.image_scores import Correlation, compare_images
from napari_fcn.engine.model import load_model
from napari_fcn.engine.train import Budget, train
from napari_fcn.engine.trainer import Trainer
from napari_fcn.errors import UserError

SMALL = NetworkConfig(width=8, depth=1)
QUICK = TrainingConfig(crop=32, batch=4)


def texture(shape=(96, 96), seed=0):
    random = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(random.normal(0, 1, shape), 2)
    return (image / image.std()).astype(np.float32)


def source(array, names="YX", ndim=2):
    return ImageSource(array, Axes.of(names), ndim, "image")


def pair(seed=0, **options):
    """Two targets in units of their own, both functions of the image."""
    image = texture(seed=seed)
    target = np.stack([1000 + 250 * image, -3 - 0.02 * np.abs(image)])
    return PairedImage(source(image), source(target, "CYX"), **options)


def fit(item, steps=80, config=QUICK, network=SMALL, **options):
    return train(
        [item],
        (),
        config=config,
        network=network,
        budget=Budget(steps=steps),
        **options,
    )


def test_outputs_come_back_in_the_units_of_the_targets(tmp_path):
    config = QUICK.model_copy(update={"output_names": ("bulge", "disk")})
    model = fit(pair(), config=config)
    model.save(tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors")
    assert [o.name for o in model.config.regression.outputs] == ["bulge", "disk"]
    new = pair(seed=1)
    found = model.predict(new.image.data)
    truth = new.target.data
    assert found.shape == truth.shape
    for one, other in zip(truth, found, strict=True):
        scores = compare_images(one, other)
        assert scores.pearson > 0.75
        assert abs(other.mean() - one.mean()) < 0.3 * one.std()
        assert other.std() == pytest.approx(one.std(), rel=0.4)


@pytest.mark.parametrize("loss", ["l1", "l1+ssim", "heteroscedastic"])
def test_every_loss_learns(loss):
    config = QUICK.model_copy(update={"loss": loss, "held_out": 0.2})
    model = fit(pair(), 40, config)
    found = model.predict(pair(seed=1).image.data)
    assert found.shape == (2, 96, 96)
    assert compare_images(pair(seed=1).target.data[0], found[0]).pearson > 0.5


def test_only_trusted_regions_count():
    item = pair()
    target, regions = item.target.data.copy(), np.zeros((96, 96), np.uint8)
    regions[:, :64] = 1
    target[:, :, 64:] = 1e9
    target[:, :10] = np.nan
    item = PairedImage(item.image, source(target, "CYX"), regions)
    trainer = Trainer([item], (), QUICK, SMALL)
    whole = trainer.task.targets.target(0, (), item.image.whole(), False)
    assert whole[-1, 10:, :64].any()
    assert not whole[-1, :10].any()
    assert not whole[-1, :, 64:].any()
    assert np.isfinite(whole).all()
    assert all(np.isfinite(trainer.step(0.5)) for _ in range(3))


def noisy_pair(seed):
    """Two targets whose noise depends on whether the image is dark or bright."""
    image = texture((128, 128), seed)
    noise = np.random.default_rng(seed).normal(0, 1, (2, *image.shape))
    spread = np.where(image > 0, 100, 30) * np.array([1, 0.01]).reshape(2, 1, 1)
    target = np.stack([500 + 100 * image, 3 - image]) + spread * noise
    return PairedImage(source(image), source(target, "CYX")), spread


def test_a_model_tells_how_far_it_may_be_off_in_the_units_of_the_target(tmp_path):
    import dask.array as da

    config = QUICK.model_copy(update={"loss": "heteroscedastic"})
    fit(noisy_pair(0)[0], 250, config).save(tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors")
    item, spread = noisy_pair(1)
    image = item.image.data
    found = model.predict(image, output="deviation")
    assert found.shape == spread.shape
    assert found.dtype == np.float32
    for mine, true in zip(found, spread, strict=True):
        for side in (image > 0.5, image < -0.5):
            expected = true[side].mean()
            assert np.median(mine[side]) == pytest.approx(expected, rel=0.4)
    lazy = model.predict(da.from_array(image), output="deviation", axes="YX")
    np.testing.assert_allclose(lazy.compute(), found, rtol=1e-4)
    assert not np.allclose(model.predict(image), found)


def test_deviation_is_refused_where_a_model_has_none():
    squared = fit(pair(), 2)
    with pytest.raises(UserError, match=r"ask for image, or train .* heteroscedastic"):
        squared.predict(texture(), output="deviation")
    with pytest.raises(UserError, match="gives image, not labels"):
        squared.predict(texture(), output="labels")


def test_what_is_not_trusted_does_not_blunt_what_is_learned():
    """A saturated quarter once set the units, and the rest was flat in them."""
    image = texture()
    target, regions = 200 + 50 * image**2, np.ones((96, 96), np.uint8)
    target[:48, :48] = 60000
    regions[:48, :48] = 0
    model = fit(PairedImage(source(image), source(target), regions))
    (output,) = model.config.regression.outputs
    assert output.offset == pytest.approx(200, abs=5)
    usual = np.percentile(target[regions > 0], 99.5)
    assert output.offset + output.scale == pytest.approx(usual, rel=0.3)
    found = model.predict(image)
    assert compare_images(target, found, regions > 0).pearson > 0.85


def test_noise_is_removed_without_clean_images():
    clean = 10 * texture((160, 160)) + 200
    noisy = clean + np.random.default_rng(1).normal(0, 5, clean.shape)
    config = QUICK.model_copy(update={"loss": "noise2void"})
    item = PairedImage(source(noisy.astype(np.float32)))
    model = fit(item, 150, config)
    assert model.config.regression.of_the_image
    found = model.predict(noisy.astype(np.float32))
    error = np.sqrt(((found - clean) ** 2).mean())
    assert error < 0.75 * 5
    # in the units of whatever image it is
    scaled = model.predict((100 * noisy).astype(np.float32))
    np.testing.assert_allclose(scaled, 100 * found, rtol=1e-3)


def test_targets_and_losses_that_do_not_go_together():
    blind = QUICK.model_copy(update={"loss": "noise2void"})
    with pytest.raises(UserError, match="There is no target"):
        Trainer([PairedImage(source(texture()))], (), QUICK, SMALL)
    with pytest.raises(UserError, match="leave out the targets"):
        Trainer([pair()], (), blind, SMALL)
    with pytest.raises(UserError, match="l1\\+ssim"):
        Trainer([pair()], (), QUICK.model_copy(update={"loss": "dice"}), SMALL)
    with pytest.raises(UserError, match="the target of this image"):
        PairedImage(source(texture()), source(texture((50, 50))))
    nothing = np.zeros((96, 96), np.uint8)
    with pytest.raises(UserError, match="No region is trusted"):
        Trainer([pair(regions=nothing)], (), QUICK, SMALL)


def test_a_run_goes_on_in_the_same_units(tmp_path):
    from napari_fcn.engine.checkpoint import load_checkpoint

    first = Trainer([pair()], (), QUICK, SMALL)
    first.step(0.1)
    first.checkpoint(1.0).save(tmp_path / "c.safetensors")
    other = pair()
    moved = PairedImage(other.image, source(other.target.data * 2, "CYX"))
    resumed = load_checkpoint(tmp_path / "c.safetensors")
    second = Trainer([moved], (), QUICK, SMALL, resume=resumed)
    assert second.resumed is not None
    assert second.model_config.regression == first.model_config.regression


def test_volumes(tmp_path):
    image = texture((8, 32, 32))
    item = PairedImage(source(image, "ZYX", 3), source(5 * image + 2, "ZYX", 3))
    network = NetworkConfig(ndim=3, width=4, depth=1)
    model = fit(item, 80, QUICK.model_copy(update={"crop": 16}), network)
    found = model.predict(image)
    assert found.shape == image.shape
    assert compare_images(5 * image + 2, found).pearson > 0.6


def test_hidden_pixels_are_replaced_by_neighbours():
    image = torch.arange(3 * 2 * 30 * 30.0).view(3, 2, 30, 30)
    changed, hidden = hide_pixels(image, torch.Generator().manual_seed(0), 0.1)
    kept = hidden == 0
    assert 0.05 < hidden.mean() < 0.15
    assert (torch.where(kept, changed, image) == image).all()
    different = (changed != image).any(1, keepdim=True)
    assert torch.equal(different, hidden > 0)
    rows = ((changed - image).abs() / 30).round().max()
    assert rows <= 2


def test_exact_variations_keep_every_value():
    config = AugmentationConfig()
    values = torch.rand(16, 2, 12, 12)
    varied = vary_exactly(values, config, torch.Generator().manual_seed(0))
    assert not torch.equal(values, varied)
    flat = [v.flatten(2).sort(-1).values for v in (values, varied)]
    torch.testing.assert_close(*flat)


@pytest.mark.parametrize("name", ["l1", "l2", "ssim", "heteroscedastic"])
def test_image_losses_do_not_see_what_is_not_trusted(name):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand((2, 1, 24, 24), generator=generator)
    seen = (torch.rand((2, 1, 24, 24), generator=generator) < 0.7).float()
    channels = 2 if name == "heteroscedastic" else 1
    output = torch.rand((2, channels, 24, 24), generator=generator)
    loss = LOSSES[name]
    other = torch.where(seen > 0, output, 7.0)
    torch.testing.assert_close(loss(output, target, seen), loss(other, target, seen))
    hidden = torch.where(seen > 0, target, -5.0)
    torch.testing.assert_close(loss(output, target, seen), loss(output, hidden, seen))


def test_structural_similarity_agrees_with_scikit_image():
    from skimage.metrics import structural_similarity

    random = np.random.default_rng(0)
    x = ndimage.gaussian_filter(random.uniform(size=(64, 64)), 1)
    y = x + random.normal(0, 0.03, x.shape)
    _, full = structural_similarity(
        x, y, data_range=1, gaussian_weights=True, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    inner = np.s_[8:-8, 8:-8]
    seen = torch.ones(1, 1, 64, 64)
    tensors = [torch.tensor(v, dtype=torch.float32)[None, None] for v in (y, x)]
    mine = 1 - float(structural(*tensors, seen))
    assert mine == pytest.approx(float(full.mean()), abs=0.02)
    assert full[inner].mean() == pytest.approx(mine, abs=0.03)


def test_correlation_in_parts_is_that_of_the_whole():
    random = np.random.default_rng(0)
    x = random.normal(5, 2, (2, 300))
    y = np.stack([x[0] + random.normal(0, 1, 300), np.ones(300)])
    pairs = Correlation(2)
    for part in np.array_split(np.arange(300), 7):
        pairs.add(x[:, part], y[:, part])
    assert pairs.values() == pytest.approx([np.corrcoef(x[0], y[0])[0, 1], 0])


def test_names_of_losses():
    assert SumOfImageLosses.of("heteroscedastic").spread
    assert SumOfImageLosses.of("noise2void").blind
    with pytest.raises(UserError):
        SumOfImageLosses.of("l1+noise2void")


def test_nothing_for_testing_is_learned_and_its_agreement_is_scored():
    """A network that puts out its input is right on the left, and not on the right."""
    image = texture((64, 96))
    target = np.where(np.arange(96) < 64, image, -image)
    testing = (np.s_[0:64, 64:96],)
    item = PairedImage(source(image), source(target), None, testing)
    task = Trainer([item], (), QUICK, SMALL).task
    learned = task.targets.target(0, (), item.image.whole(), False)
    assert learned[-1, :, :64].all()
    assert not learned[:, :, 64:].any()
    tested = task.targets.target(0, (), item.image.whole(), True)
    assert np.array_equal(tested[-1] > 0, np.arange(96) + 0 * image >= 64)
    score = task.score(torch.from_numpy, (32, 32), held=True)
    assert score.value == 0
    assert set(score.details) == {"PSNR", "SSIM"}
    assert score.details["SSIM"] < 0.2
    assert task.score(torch.from_numpy, (32, 32), held=False).value > 0.9
