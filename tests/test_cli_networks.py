"""Every network and every loss through the command line: train, predict, info."""

from __future__ import annotations

import numpy as np
import pytest
from tests.networks.conftest import IN_2D_ONLY, small_config
from tests.test_cli import result, run

from napari_fcn.config.catalogue import LOSS_WORDS
from napari_fcn.data.dot_files import write_points
from napari_fcn.data.dots import Dots
from napari_fcn.engine import density_losses, image_losses
from napari_fcn.engine.losses import LOSSES
from napari_fcn.networks import NETWORKS

SHAPES = {2: (40, 56), 3: (6, 20, 28)}
BLIND = "noise2void"
BY_TASK = {
    "segmentation": sorted({*LOSSES, *LOSS_WORDS}),
    "density": [*density_losses.LOSSES, "l2+counts"],
    "regression": [*image_losses.LOSSES, "l1+ssim"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """In 2D and 3D a bright half with noise, strokes, dots, and a target image."""
    folder = tmp_path_factory.mktemp("networks")
    random = np.random.default_rng(0)
    for ndim, shape in SHAPES.items():
        image = random.normal(0, 0.3, shape).astype(np.float32)
        image[..., shape[-1] // 2 :] += 1
        labels = np.zeros(shape, np.uint8)
        labels[..., ::4, 2:6] = 1
        labels[..., ::4, -6:-2] = 2
        np.save(folder / f"image{ndim}.npy", image)
        np.save(folder / f"labels{ndim}.npy", labels)
        np.save(folder / f"target{ndim}.npy", 100 + 10 * image)
    write_points(folder / "dots.csv", Dots.of(random.uniform(4, 36, (9, 2))))
    return folder


def settings(name: str, ndim: int) -> list[str]:
    """Words that make a network of the command line small."""
    config = small_config(name, ndim).model_dump(include={"width", "depth", "layers"})
    return [
        x for field in config.items() for x in ("--setting", "{}={}".format(*field))
    ]


def predicted(model, image, out, tile: int) -> np.ndarray:
    assert run("predict", model, image, "--out", out, "--as", "probabilities",
               "--tile", tile) == 0  # fmt: skip
    return np.load(out)


@pytest.mark.parametrize(
    ("name", "ndim"),
    [(n, d) for n in NETWORKS for d in SHAPES if d == 2 or n not in IN_2D_ONLY],
)
def test_every_network_from_training_to_exact_tiles(
    folder, tmp_path, capsys, name, ndim
):
    image, model = folder / f"image{ndim}.npy", tmp_path / "m.safetensors"
    assert run("train", image, "--labels", folder / f"labels{ndim}.npy", "--out", model,
               "--network", name, *settings(name, ndim), "--ndim", ndim, "--steps", 2,
               "--device", "cpu") == 0  # fmt: skip
    whole = predicted(model, image, tmp_path / "whole.npy", 1000)
    tiled = predicted(model, image, tmp_path / "tiled.npy", 16)
    assert whole.shape == (2, *SHAPES[ndim])
    assert whole.std() > 0
    assert np.abs(whole - tiled).max() < 1e-4
    capsys.readouterr()
    assert run("info", model, "--json") == 0
    told = result(capsys)
    assert told["network"] == name
    assert len(told["receptive_field"]) == ndim
    assert told["training"]["steps"] == 2


@pytest.mark.parametrize(
    ("task", "loss"), [(task, loss) for task in BY_TASK for loss in BY_TASK[task]]
)
def test_every_loss_trains_and_predicts(folder, tmp_path, capsys, task, loss):
    image, model = folder / "image2.npy", tmp_path / "m.safetensors"
    files = {
        "segmentation": folder / "labels2.npy",
        "density": folder / "dots.csv",
        "regression": folder / "target2.npy",
    }
    labels = () if loss == BLIND else ("--labels", files[task])
    size = ("--object-size", 6) if task == "density" else ()
    assert run("train", image, *labels, "--out", model, "--task", task, "--loss", loss,
               *settings("unet", 2), *size, "--steps", 2) == 0  # fmt: skip
    out = tmp_path / "out.npy"
    assert run("predict", model, image, "--out", out) == 0
    found = np.load(out)
    assert found.shape == SHAPES[2]
    assert np.isfinite(found).all()
    capsys.readouterr()
    assert run("info", model, "--json") == 0
    assert result(capsys)["task"] == task
