"""Image to image: stains from phase contrast, and noise removed from fluorescence.

Phase contrast at three depths to DAPI, MAP2 and NFH (Christiansen et al. 2018): the
left half of the field is learned from, the right half is tested. Nuclei in fluorescence
with added noise: without clean images (Noise2Void), against the denoisers of
scikit-image, each with the best setting for these very images.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage import restoration
from skimage.io import imread

from benchmarks.report import Report, load
from benchmarks.strokes.datasets import data_folder, dsb2018_fluorescence
from napari_fcn.config import TrainingConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.engine.image_scores import compare_images
from napari_fcn.engine.train import Budget, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STAINS = ("DAPI", "MAP2", "NFH")
DEPTHS = (0, 6, 12)
STEPS = int(os.environ.get("NAPARI_FCN_STEPS", "3000"))
IMAGES = 12
NOISE = 0.1
"""Standard deviation of the noise, relative to the brightest pixels of each image."""


def run(*, short: bool) -> Report | None:
    """Measure both; None without the data."""
    if not (data_folder() / "isl_phase_to_fluor").is_dir():
        print(f"no data at {data_folder()}")
        return None
    steps = 40 if short else STEPS
    report = Report("Predicted images on unseen regions", {"steps": steps})
    for row in [*stains(steps), *denoising(steps)]:
        report.rows.append(row)
        print(row, flush=True)
    return report


def stains(steps: int) -> list[dict[str, Any]]:
    """Learn three stains at once from the left half of a field."""
    folder = data_folder() / "isl_phase_to_fluor"
    phase = np.stack([_channel(folder, f"z_depth-{z},") for z in DEPTHS])
    stained = np.stack([_channel(folder, f"channel-{s}_") for s in STAINS])
    half = phase.shape[-1] // 2
    axes = Axes.of("CYX")
    item = PairedImage(
        ImageSource(phase[..., :half], axes, 2, "phase contrast"),
        ImageSource(stained[..., :half], axes, 2, "stains"),
    )
    start, before = time.perf_counter(), load()
    config = TrainingConfig(output_names=STAINS)
    model = train([item], (), config=config, budget=Budget(steps=steps))
    seconds = time.perf_counter() - start
    found = model.predict(phase[..., half:], axes="CYX")
    return [
        _row(f"phase contrast to {name}", "U-Net", truth, guess, seconds, before)
        for name, truth, guess in zip(STAINS, stained[..., half:], found, strict=True)
    ]


def denoising(steps: int) -> list[dict[str, Any]]:
    """Remove added noise, with and without a network."""
    random = np.random.default_rng(0)
    clean, noisy = [], []
    for image in dsb2018_fluorescence().images[:IMAGES]:
        plane = image.astype(np.float32)[:256, :256]
        plane = plane / max(1.0, float(np.percentile(plane, 99.5)))
        clean.append(plane)
        noisy.append((plane + random.normal(0, NOISE, plane.shape)).astype(np.float32))
    start, before = time.perf_counter(), load()
    axes = Axes.of("YX")
    items = [PairedImage(ImageSource(x, axes, 2, str(n))) for n, x in enumerate(noisy)]
    config = TrainingConfig(loss="noise2void")
    model = train(items, (), config=config, budget=Budget(steps=steps))
    seconds = time.perf_counter() - start
    what = "noise removed from nuclei"
    found = [model.predict(x) for x in noisy]
    rows = [_mean_row(what, "Noise2Void", clean, found, seconds, before)]
    rows.append(_mean_row(what, "nothing", clean, noisy, 0.0, before))
    for name, denoise, settings in CLASSICAL:
        tried = []
        for setting in settings:
            start = time.perf_counter()
            made = [denoise(x, setting) for x in noisy]
            taken = time.perf_counter() - start
            row = _mean_row(what, f"{name} ({setting:g})", clean, made, taken, before)
            tried.append(row)
        rows.append(max(tried, key=lambda row: row["PSNR"]))
    return rows


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
    ("non-local means", _non_local_means, (0.4, 0.6, 0.8, 1.0)),
    ("total variation", _total_variation, (0.05, 0.1, 0.15, 0.2)),
]
"""Denoisers of scikit-image with the settings that are tried."""


def _channel(folder: Any, part: str) -> NDArray[np.float32]:
    (path,) = [p for p in folder.rglob("*.png") if part in p.name]
    image: NDArray[np.float32] = imread(path).astype(np.float32)
    return image


def _row(
    what: str,
    how: str,
    truth: NDArray[Any],
    found: NDArray[Any],
    seconds: float,
    before: float,
) -> dict[str, Any]:
    return _mean_row(what, how, [truth], [found], seconds, before)


def _mean_row(
    what: str,
    how: str,
    truths: list[NDArray[Any]],
    found: list[NDArray[Any]],
    seconds: float,
    before: float,
) -> dict[str, Any]:
    scores = [compare_images(x, y) for x, y in zip(truths, found, strict=True)]
    return {
        "what": what,
        "how": how,
        "Pearson r": float(np.mean([s.pearson for s in scores])),
        "PSNR": float(np.mean([s.psnr for s in scores])),
        "SSIM": float(np.mean([s.ssim for s in scores])),
        "minutes": seconds / 60,
        "load": before,
    }
