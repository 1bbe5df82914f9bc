"""Image to image: stains from phase contrast, and noise removed from fluorescence.

Phase contrast at three depths to DAPI, MAP2 and NFH (Christiansen et al. 2018): the
left half of the field is learned from, the right half is tested, against a random
forest on filtered images, as biologists use it for pixels. Nuclei in fluorescence with
added noise: a network that has seen clean images of other nuclei, one that has seen
only the noisy images themselves (Noise2Void, Krull et al. 2019), and the denoisers of
scikit-image, which are told the noise, each with the best setting for these images.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage import restoration
from skimage.feature import multiscale_basic_features
from skimage.io import imread
from sklearn.ensemble import RandomForestRegressor

from benchmarks.report import Report, load
from benchmarks.strokes.datasets import data_folder, dsb2018_fluorescence
from napari_fcn.config import TrainingConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.image_scores import compare_images
from napari_fcn.engine.train import Budget, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_fcn.engine.model import Model

STAINS = ("DAPI", "MAP2", "NFH")
DEPTHS = (0, 6, 12)
STEPS = int(os.environ.get("NAPARI_FCN_STEPS", "2400"))
"""Ten minutes, about, on one core, for each of the three networks."""
FOREST_PIXELS = 50_000
TESTED, LEARNED = 12, 36
"""Images of nuclei: the first ones are tested, those after them have clean targets."""
NOISE = 0.1
"""Standard deviation of the noise, relative to the brightest pixels of each image."""


def run(*, short: bool) -> Report | None:
    """Measure both; None without the data."""
    if not (data_folder() / "isl_phase_to_fluor").is_dir():
        print(f"no data at {data_folder()}")
        return None
    steps = 40 if short else STEPS
    report = Report("Predicted images on unseen regions")
    for row in chain(stains(steps), denoising(steps)):
        report.rows.append(row)
        print(row, flush=True)
    return report


def stains(steps: int) -> Iterator[dict[str, Any]]:
    """Learn three stains at once from the left half of a field."""
    folder = data_folder() / "isl_phase_to_fluor"
    phase = np.stack([_channel(folder, f"z_depth-{z},") for z in DEPTHS])
    stained = np.stack([_channel(folder, f"channel-{s}_") for s in STAINS])
    half = phase.shape[-1] // 2
    learned, truths = stained[..., :half], stained[..., half:]
    for how, predict, learned_in in (
        ("U-Net", _by_network, steps),
        ("random forest", _by_forest, 0),
    ):
        start, before = time.perf_counter(), load()
        found = predict(phase[..., :half], learned, phase[..., half:], steps)
        minutes = (time.perf_counter() - start) / 60
        for name, truth, guess in zip(STAINS, truths, found, strict=True):
            what = f"phase contrast to {name}"
            yield _row(what, how, [truth], [guess], minutes, before, learned_in)


def _by_network(
    seen: NDArray[Any], target: NDArray[Any], unseen: NDArray[Any], steps: int
) -> NDArray[Any]:
    axes = Axes.of("CYX")
    item = PairedImage(
        ImageSource(seen, axes, 2, "phase contrast"),
        ImageSource(target, axes, 2, "stains"),
    )
    config = TrainingConfig(output_names=STAINS)
    model = train([item], (), config=config, budget=Budget(steps=steps))
    return model.predict(unseen, axes="CYX")


def _by_forest(
    seen: NDArray[Any], target: NDArray[Any], unseen: NDArray[Any], _: int
) -> NDArray[Any]:
    table, wanted = _features(seen), target.reshape(len(target), -1).T
    random = np.random.default_rng(0)
    chosen = random.choice(len(table), FOREST_PIXELS, replace=False)
    forest = RandomForestRegressor(
        n_estimators=50, min_samples_leaf=5, max_features="sqrt", random_state=0
    )
    forest.fit(table[chosen], wanted[chosen])
    return forest.predict(_features(unseen)).T.reshape(-1, *unseen.shape[1:])


def _features(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return what filters make of each pixel, (pixels, features)."""
    found = multiscale_basic_features(image, channel_axis=0, sigma_max=16)
    return found.reshape(-1, found.shape[-1])


def denoising(steps: int) -> Iterator[dict[str, Any]]:
    """Remove added noise, with and without a network."""
    what = "noise removed from nuclei"
    clean, noisy = _with_noise()
    tests, truths = noisy[:TESTED], clean[:TESTED]
    yield _row(what, "nothing", truths, tests, 0.0, load())
    for how, learn in (
        ("U-Net with clean targets", lambda: _with_targets(clean, noisy, steps)),
        ("Noise2Void", lambda: _without_targets(tests, steps)),
    ):
        start, before = time.perf_counter(), load()
        model = learn()
        found = [model.predict(x) for x in tests]
        minutes = (time.perf_counter() - start) / 60
        yield _row(what, how, truths, found, minutes, before, steps)
    for name, denoise, settings in CLASSICAL:
        tried = []
        for setting in settings:
            start, before = time.perf_counter(), load()
            made = [denoise(x, setting) for x in tests]
            minutes = (time.perf_counter() - start) / 60
            how = f"{name} ({setting:g})"
            tried.append(_row(what, how, truths, made, minutes, before))
        yield max(tried, key=lambda row: row["PSNR"])


def _with_noise() -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return images of nuclei, the brightest pixels 1, and the same with noise."""
    random = np.random.default_rng(0)
    clean, noisy = [], []
    for image in dsb2018_fluorescence().images[: TESTED + LEARNED]:
        plane = image.astype(np.float32)[:256, :256]
        plane = plane / max(1.0, float(np.percentile(plane, 99.5)))
        clean.append(plane)
        noisy.append((plane + random.normal(0, NOISE, plane.shape)).astype(np.float32))
    return clean, noisy


def _with_targets(
    clean: list[NDArray[np.float32]], noisy: list[NDArray[np.float32]], steps: int
) -> Model:
    items = [
        PairedImage(_source(x), _source(y))
        for x, y in zip(noisy[TESTED:], clean[TESTED:], strict=True)
    ]
    return train(items, (), budget=Budget(steps=steps))


def _without_targets(noisy: list[NDArray[np.float32]], steps: int) -> Model:
    items = [PairedImage(_source(x)) for x in noisy]
    config = TrainingConfig(loss="noise2void")
    return train(items, (), config=config, budget=Budget(steps=steps))


def _source(image: NDArray[np.float32]) -> ImageSource:
    return ImageSource(image, Axes.of("YX"), 2, "nuclei")


def _wavelets(image: NDArray[Any], factor: float) -> NDArray[Any]:
    return restoration.denoise_wavelet(image, sigma=factor * NOISE, rescale_sigma=True)


def _non_local_means(image: NDArray[Any], factor: float) -> NDArray[Any]:
    return restoration.denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=factor * NOISE, sigma=NOISE
    )


def _total_variation(image: NDArray[Any], weight: float) -> NDArray[Any]:
    return restoration.denoise_tv_chambolle(image, weight=weight)


CLASSICAL: list[
    tuple[str, Callable[[NDArray[Any], float], NDArray[Any]], tuple[float, ...]]
] = [
    ("wavelets", _wavelets, (0.5, 1.0, 1.5)),
    ("non-local means", _non_local_means, (0.6, 0.8, 1.0, 1.2, 1.5)),
    ("total variation", _total_variation, (0.1, 0.15, 0.2, 0.3, 0.4)),
]
"""Denoisers of scikit-image with the settings that are tried."""


def _channel(folder: Any, part: str) -> NDArray[np.float32]:
    (path,) = [p for p in folder.rglob("*.png") if part in p.name]
    image: NDArray[np.float32] = imread(path).astype(np.float32)
    return image


def _row(
    what: str,
    how: str,
    truths: list[NDArray[Any]],
    found: list[NDArray[Any]],
    minutes: float,
    before: float,
    steps: int = 0,
) -> dict[str, Any]:
    """Return the mean agreement over images as a row of the table."""
    scores = [compare_images(x, y) for x, y in zip(truths, found, strict=True)]
    return {
        "what": what,
        "how": how,
        "Pearson r": float(np.mean([s.pearson for s in scores])),
        "PSNR": float(np.mean([s.psnr for s in scores])),
        "SSIM": float(np.mean([s.ssim for s in scores])),
        "steps": steps or "–",
        "minutes": minutes,
        "load": before,
    }
