"""The command line on real files: the whole job, and every bad input."""

from __future__ import annotations

import argparse
import json
import warnings

import numpy as np
import pytest
import tifffile

from napari_fcn import cli
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.readers import open_image
from napari_fcn.export.masks import write_array
from napari_fcn.networks import NETWORKS


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A generated stack with scale, its truth and strokes, and a trained model."""
    folder = tmp_path_factory.mktemp("data")
    image, truth = samples.blobs(3, 96)
    axes = Axes.of("ZYX", (0.5, 0.25, 0.25), "micrometer")
    write_array(folder / "image.tif", image, axes)
    write_array(folder / "truth.tif", truth, axes)
    strokes = samples.strokes(truth, 18)
    write_array(folder / "strokes.tif", strokes, axes)
    run("train", folder / "image.tif", "--labels", folder / "strokes.tif",
        "--out", folder / "m.safetensors", "--steps", 25)  # fmt: skip
    return folder


def run(*arguments) -> int:
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:  # words that argparse does not know
        return stop.code


def result(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments, match: str) -> None:
    """Exit code 2 and one sentence, nothing on standard output."""
    capsys.readouterr()
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert match in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_train_predict_evaluate(data, tmp_path, capsys):
    capsys.readouterr()
    assert run("info", data / "m.safetensors", "--json") == 0
    info = result(capsys)
    assert info["task"] == "segmentation"
    assert [c["value"] for c in info["classes"]] == [1, 2, 3]
    out = tmp_path / "masks.tif"
    assert run("predict", data / "m.safetensors", data / "image.tif", "--out", out,
               "--json") == 0  # fmt: skip
    assert result(capsys)["outputs"] == [str(out)]
    mask, image = open_image(out), open_image(data / "image.tif")
    assert mask.axes == image.axes
    assert set(np.unique(mask.data[...])) <= {0, 2, 3}
    assert run("evaluate", data / "m.safetensors", data / "image.tif", "--truth",
               data / "truth.tif", "--json") == 0  # fmt: skip
    scores = result(capsys)
    assert set(scores["dice"]) == {"background", "class 2", "class 3"}
    assert scores["dice"]["background"] > 0.8


def test_help_explains_each_option():
    (verbs,) = (a for a in cli._parser()._actions if a.choices)
    for verb, parser in verbs.choices.items():
        silent = [a.dest for a in parser._actions if not a.help]
        assert not silent, verb


@pytest.mark.parametrize("suffix", [".ome.zarr", ".npy", ".tif"])
def test_probabilities_add_up(data, tmp_path, suffix):
    out = tmp_path / f"p{suffix}"
    assert run("predict", data / "m.safetensors", data / "image.tif", "--out", out,
               "--as", "probabilities", "--tile", 32) == 0  # fmt: skip
    values = np.asarray(open_image(out).data[...])
    assert np.allclose(values.sum(0), 1, atol=1e-5)
    assert list(tmp_path.iterdir()) == [out]


def test_many_images_go_to_a_folder(data, tmp_path):
    for name in ("a10.tif", "a2.tif"):
        (tmp_path / name).write_bytes((data / "image.tif").read_bytes())
    out = tmp_path / "out"
    assert run("predict", data / "m.safetensors", tmp_path, "--out", out) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a10.tif", "a2.tif"]


def test_a_stack_of_pngs_is_said_to_be_a_folder(data, tmp_path, capsys):
    capsys.readouterr()
    order = ("predict", data / "m.safetensors", data / "image.tif")
    assert run(*order, "--out", tmp_path / "masks.png", "--json") == 0
    assert result(capsys)["outputs"] == [str(tmp_path / "masks")]
    assert len(list((tmp_path / "masks").glob("*.png"))) > 1


def test_resume_keeps_what_is_done(data, tmp_path, monkeypatch):
    from napari_fcn.engine import predict

    calls, limit = [], [2]
    real = predict.run_network

    def stop_after(*arguments):
        calls.append(1)
        if len(calls) > limit[0]:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(predict, "run_network", stop_after)
    out = tmp_path / "masks.tif"
    order = ("predict", data / "m.safetensors", data / "image.tif", "--out", out)
    assert run(*order) == 130
    assert not out.exists()
    limit[0] = 1000
    calls.clear()
    assert run(*order, "--resume") == 0
    assert len(calls) == 1
    whole = tmp_path / "whole.tif"
    assert run(*order[:-1], whole) == 0
    assert np.array_equal(tifffile.imread(out), tifffile.imread(whole))


def test_fine_tuning(data, tmp_path, capsys):
    capsys.readouterr()
    assert run("train", data / "image.tif", "--labels", data / "strokes.tif", "--out",
               tmp_path / "n.safetensors", "--init", data / "m.safetensors",
               "--steps", 1, "--json") == 0  # fmt: skip
    said = capsys.readouterr()
    assert "All weights of the starting model" in said.err
    assert json.loads(said.out)["training"]["steps"] == 1


def test_what_a_start_overrules_is_told(data, tmp_path, capsys):
    capsys.readouterr()
    assert run("train", data / "image.tif", "--labels", data / "strokes.tif", "--out",
               tmp_path / "n.safetensors", "--init", data / "m.safetensors",
               "--steps", 1, "--network", "segnet") == 0  # fmt: skip
    said = capsys.readouterr().err
    assert "--network and --setting do nothing" in said


def test_networks_are_listed(capsys):
    assert run("networks", "--json") == 0
    listed = result(capsys)
    assert set(listed) == {"networks"}
    rows = {row.pop("name"): row for row in listed["networks"]}
    assert rows["unet-2015"] == {
        "parameters": 31_030_658, "receptive_field": [215, 215], "stride": [16, 16]
    }  # fmt: skip
    assert set(rows) == set(NETWORKS)
    assert run("networks") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(NETWORKS)
    assert any(
        line.split()[:4] == ["patch", "219,290", "95x95", "1x1"] for line in lines
    )


def test_network_loss_and_mask(data, tmp_path, capsys):
    """Position and a mask enter, and the same mask is asked for when predicting."""
    image, strokes = data / "image.tif", data / "strokes.tif"
    model, mask = tmp_path / "m.safetensors", tmp_path / "mask.npy"
    np.save(mask, np.asarray(open_image(strokes).data) > 0)
    capsys.readouterr()
    assert run("train", image, "--labels", strokes, "--out", model, "--mask", mask,
               "--network", "unet-2015", "--setting", "width=4", "--setting", "depth=1",
               "--setting", "coordinates=yes", "--loss", "ce-border", "--steps", 1,
               "--json") == 0  # fmt: skip
    told = result(capsys)
    assert (told["network"], told["in_channels"]) == ("unet-2015", 2)
    out = tmp_path / "y.tif"
    assert run("predict", model, image, "--mask", mask, "--out", out) == 0
    assert open_image(out).data.shape == open_image(image).data.shape
    refused(capsys, "predict", model, image, "--out", out, match="1 channel(s)")
    refused(capsys, "predict", model, image, "--mask", mask, mask, "--out", out,
            match="2 mask")  # fmt: skip


def test_demo_without_a_screen(tmp_path, capsys):
    assert run("demo", "--headless", "--seconds", 2, "--out", tmp_path, "--json") == 0
    made = result(capsys)
    assert 0 < made["dice_unseen_half"]["stained"] <= 1
    assert {p.name for p in tmp_path.iterdir()} == {
        "model.safetensors", "masks.tif", "overlay.png", "strokes.tif"
    }  # fmt: skip


def training(data, image, labels, tmp_path, *more):
    return ("train", image, "--labels", labels, "--out", tmp_path / "x.safetensors",
            "--steps", 1, *more)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("missing.tif", None, "missing.tif"),
        ("empty.tif", b"", "empty.tif"),
        ("text.tif", b"hello", "text.tif"),
        ("text.png", b"hello", "text.png"),
        ("truncated.tif", 3000, "truncated.tif"),
    ],
)
def test_bad_image_files(data, tmp_path, capsys, name, content, match):
    path = tmp_path / name
    if isinstance(content, int):
        content = (data / "image.tif").read_bytes()[:content]
    if content is not None:
        path.write_bytes(content)
    refused(capsys, *training(data, path, data / "strokes.tif", tmp_path), match=match)
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros((3, 96, 96), np.uint8), "Nothing is painted"),
        (np.ones((3, 96, 96), np.uint8), "Only one class"),
        (np.ones((3, 95, 96), np.uint8), "shape"),
        (np.full((3, 96, 96), 0.5, np.float32), "whole numbers"),
        (np.arange(3 * 96 * 96).reshape(3, 96, 96).astype(np.uint16), "objects"),
    ],
)
def test_bad_labels(data, tmp_path, capsys, labels, match):
    path = tmp_path / "labels.npy"
    np.save(path, labels)
    order = training(data, data / "image.tif", path, tmp_path)
    refused(capsys, *order, match=match)
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--network", "no-such"), "choose one of"),
        (("--loss", "no-such"), "no-such"),
        (("--setting", "dept=4"), "write for example depth=4"),
        (("--setting", "depth=deep"), "depth: "),
        (("--setting", "flat_levels=1"), "3D networks only"),
        (("--mask", "nowhere.tif"), "nowhere.tif"),
        (("--axes", "YX"), "axes"),
        (("--init", "nowhere.safetensors"), "no model file"),
        (("--seed", "-1"), "seed"),
        (("--device", "cuda"), "no CUDA"),
    ],
)
def test_bad_settings(data, tmp_path, capsys, more, match):
    if "cuda" in more:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this computer has a CUDA device")
    order = training(data, data / "image.tif", data / "strokes.tif", tmp_path, *more)
    refused(capsys, *order, match=match)


def test_words_argparse_does_not_know(capsys):
    for arguments in (["no-such-verb"], ["train"], ["info", "m", "a\nb"]):
        refused(capsys, *arguments, match="--help")


def test_images_and_labels_must_pair_up(data, tmp_path, capsys):
    image, strokes = data / "image.tif", data / "strokes.tif"
    order = training(data, image, strokes, tmp_path)
    refused(capsys, *order[:2], image, *order[2:], match="2 image(s) but 1 labels")


def test_wrong_channels(data, tmp_path, capsys):
    np.save(tmp_path / "rgb.npy", np.zeros((20, 30, 3), np.uint8))
    refused(
        capsys, "predict", data / "m.safetensors", tmp_path / "rgb.npy",
        "--out", tmp_path / "y.tif", match="3 channel(s)",
    )  # fmt: skip
    assert not (tmp_path / "y.tif").exists()
    assert not (tmp_path / "y.tif.partial").exists()


def test_one_pixel_and_constant_images(data, tmp_path):
    for shape in ((1, 1), (300, 1)):
        path = tmp_path / f"{shape[0]}.npy"
        np.save(path, np.full(shape, 7, np.uint16))
        out = tmp_path / f"{shape[0]}.tif"
        assert run("predict", data / "m.safetensors", path, "--out", out) == 0
        assert open_image(out).data[...].shape == shape


@pytest.mark.parametrize("debug", ["", "1"])
def test_warnings_for_developers_are_shown_to_those_who_ask(monkeypatch, debug):
    def warn(_):
        warnings.warn("deep down", DeprecationWarning, stacklevel=1)

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=warn, json=False)
    monkeypatch.setattr(cli, "_parser", lambda: parser)
    monkeypatch.setenv("NAPARI_FCN_DEBUG", debug)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert cli.main([]) == 0
    assert [str(w.message) for w in told] == ["deep down"] * bool(debug)
