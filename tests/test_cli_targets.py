"""The command line for counting and for image to image, on real files."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from tests.test_cli import refused, result, run

from napari_fcn.cli.targets import tell_apart
from napari_fcn.data.axes import Axes
from napari_fcn.data.dot_files import write_points
from napari_fcn.data.dots import Dots
from napari_fcn.data.readers import open_image
from napari_fcn.export.masks import write_array

SCALE = (0.5, 0.5)


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Two images of spots with their dots, and a model that counts them."""
    folder = tmp_path_factory.mktemp("spots")
    random = np.random.default_rng(0)
    for name, n in (("a", 12), ("b", 16)):
        places = random.uniform(3, 44, (n, 2))
        image = np.zeros((48, 48))
        image[tuple(places.round().astype(int).T)] = 1
        image = 200 * ndimage.gaussian_filter(image, 2) + random.normal(
            0, 0.2, (48, 48)
        )
        axes = Axes.of("YX", SCALE, "micrometer")
        write_array(folder / f"{name}.tif", image.astype(np.float32), axes)
        write_points(folder / f"{name}.csv", Dots.of(places))
    run("train", folder / "a.tif", "--labels", folder / "a.csv", "--task", "density",
        "--object-size", 8, "--out", folder / "m.safetensors",
        "--steps", 20)  # fmt: skip
    return folder


def test_counts_are_written_with_their_uncertainty(spots, tmp_path, capsys):
    capsys.readouterr()
    model = spots / "m.safetensors"
    assert run("info", model, "--json") == 0
    info = result(capsys)
    assert info["task"] == "density"
    assert info["density"]["widths"] == [[2.0, 2.0]]
    regions = np.ones((48, 48), np.uint8)
    regions[:, 24:] = 4
    write_array(tmp_path / "regions.tif", regions, Axes.of("YX"))
    table, points = tmp_path / "counts.csv", tmp_path / "points"
    assert run("count", model, spots / "a.tif", spots / "b.tif", "--regions",
               tmp_path / "regions.tif", tmp_path / "regions.tif",
               "--csv", table, "--points", points, "--json") == 0  # fmt: skip
    counts = result(capsys)["counts"]
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["image"], r["region"], r["class"]) for r in rows] == [
        ("a", "1", "object"), ("a", "4", "object"),
        ("b", "1", "object"), ("b", "4", "object"),
    ]  # fmt: skip
    for row, count in zip(rows, counts, strict=True):
        assert float(row["count"]) == pytest.approx(count["count"])
        assert 0 <= count["lower"] < count["count"] < count["upper"]
    assert {p.name for p in points.iterdir()} == {"a.csv", "b.csv"}

    out = tmp_path / "density.tif"
    assert run("predict", model, spots / "b.tif", "--out", out, "--as", "density") == 0
    density = open_image(out)
    assert density.axes.scale == pytest.approx(SCALE)
    total = sum(c["count"] for c in counts if c["image"] == "b")
    assert float(np.asarray(density.data).sum()) == pytest.approx(total, rel=1e-3)

    capsys.readouterr()
    assert run("evaluate", model, spots / "b.tif", "--truth", spots / "b.csv",
               "--json") == 0  # fmt: skip
    scores = result(capsys)
    (row,) = scores["images"]
    assert row["truth"] == 16
    assert scores["mean_absolute_error"] == pytest.approx(abs(row["count"] - 16))


def test_images_of_the_same_name_are_told_apart(spots, tmp_path, capsys):
    for folder in ("day1", "day2"):
        (tmp_path / folder).mkdir()
        shutil.copy(spots / "a.tif", tmp_path / folder / "a.tif")
    capsys.readouterr()
    assert run("count", spots / "m.safetensors", tmp_path / "day1" / "a.tif",
               tmp_path / "day2" / "a.tif", spots / "b.tif", "--json") == 0  # fmt: skip
    names = [count["image"] for count in result(capsys)["counts"]]
    assert names == ["day1/a.tif", "day2/a.tif", "b"]


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["x/a.tif", "x/a.png"], ["a.tif", "a.png"]),
        (["a.tif", "x/a.tif", "y/x/a.tif"], ["a.tif", "x/a.tif", "y/x/a.tif"]),
        (["x/a.ome.tif", "x/b.tif"], ["a", "b"]),
        (["x/a.tif", "x/a.tif"], ["a.tif", "a.tif"]),
        (["/a.tif", "/x/a.tif", "b.tif"], ["/a.tif", "x/a.tif", "b"]),
    ],
)
def test_names_are_as_long_as_needed(images, names):
    assert tell_apart([Path(image) for image in images]) == names


def test_images_are_predicted_in_their_units(spots, tmp_path, capsys):
    image = np.asarray(open_image(spots / "a.tif").data)
    target = np.stack([500 + 10 * image, -image])
    write_array(tmp_path / "target.tif", target, Axes.of("CYX"))
    model, out = tmp_path / "r.safetensors", tmp_path / "out.tif"
    assert run("train", spots / "a.tif", "--labels", tmp_path / "target.tif",
               "--task", "regression", "--out", model, "--steps", 8) == 0  # fmt: skip
    assert run("predict", model, spots / "a.tif", "--out", out) == 0
    opened = open_image(out)
    assert opened.axes.names == "CYX"
    found = np.asarray(opened.data)
    assert found.shape == target.shape
    assert found[0].mean() == pytest.approx(target[0].mean(), rel=0.2)
    assert found[1].mean() == pytest.approx(0, abs=20)
    capsys.readouterr()
    assert run("evaluate", model, spots / "a.tif", "--truth", tmp_path / "target.tif",
               "--json") == 0  # fmt: skip
    scores = result(capsys)
    assert [r["output"] for r in scores["images"]] == ["output 1", "output 2"]
    assert -1 <= scores["pearson"] <= 1
    assert run("evaluate", model, spots / "a.tif", "--truth",
               tmp_path / "target.tif") == 0  # fmt: skip
    line = capsys.readouterr().out.splitlines()[0]
    assert re.search(r"output 1, pearson -?\d\.\d{3}, psnr -?\d+\.\d{3}, ssim", line)


def test_how_far_an_image_may_be_off_becomes_a_file(spots, tmp_path, capsys):
    image, target = spots / "a.tif", tmp_path / "target.tif"
    values = 7 * np.asarray(open_image(image).data)
    write_array(target, values, Axes.of("YX"))
    model, out = tmp_path / "m.safetensors", tmp_path / "deviation.tif"
    train = ("train", image, "--labels", target, "--task", "regression", "--steps", 4,
             "--out", model)  # fmt: skip
    predict = ("predict", model, image, "--out", out, "--as", "deviation")
    assert run(*train) == 0
    refused(capsys, *predict, match="does not know how far it may be off")
    assert not out.exists()
    assert run(*train, "--loss", "heteroscedastic") == 0
    assert run(*predict, "--json") == 0
    assert result(capsys)["as"] == "deviation"
    found = np.asarray(open_image(out).data)
    assert found.shape == (48, 48)
    assert (found > 0).all()


def test_noise_is_removed_without_labels(spots, tmp_path):
    model, out = tmp_path / "n.safetensors", tmp_path / "out.tif"
    assert run("train", spots / "a.tif", "--task", "regression", "--loss", "noise2void",
               "--out", model, "--steps", 4) == 0  # fmt: skip
    assert run("predict", model, spots / "a.tif", "--out", out, "--as", "image") == 0
    assert np.asarray(open_image(out).data).shape == (48, 48)


def test_bad_input_is_one_sentence(spots, tmp_path, capsys):
    image, dots, model = spots / "a.tif", spots / "a.csv", spots / "m.safetensors"
    out = tmp_path / "m.safetensors"
    train = ("train", image, "--out", out, "--steps", 2)
    refused(capsys, *train, "--task", "density", match="name their files")
    refused(capsys, *train, "--task", "regression", match="no target")
    refused(capsys, *train, "--labels", dots, "--task", "density", "--loss", "dice",
            match="l2+counts")  # fmt: skip
    refused(capsys, *train, "--labels", image, "--boxes", dots, match="for --task")
    refused(capsys, *train, "--labels", dots, "--task", "density", "--boxes", dots,
            match="index and count")  # fmt: skip
    refused(capsys, "predict", model, image, "--out", tmp_path / "x.tif", "--as",
            "labels", match="gives density")  # fmt: skip
    refused(capsys, "count", model, image, "--csv", image, match="would replace")
    assert not out.exists()
