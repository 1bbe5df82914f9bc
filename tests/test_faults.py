"""Killed programs, full disks, hostile files and images without sense."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from safetensors.numpy import save

from napari_fcn import cli
from napari_fcn.config import ModelConfig, NetworkConfig, classes_from_values
from napari_fcn.data import samples
from napari_fcn.data.axes import Axes
from napari_fcn.data.readers import open_image
from napari_fcn.engine.model import Model, load_model
from napari_fcn.export.masks import write_array
from napari_fcn.networks import build_network


def run(*arguments) -> int:
    return cli.main([str(a) for a in arguments])


def start(*arguments) -> subprocess.Popen[str]:
    """Start the command line as a program of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "napari_fcn", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def until(condition, program, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert program.poll() is None, program.stderr.read()
        time.sleep(0.02)


def refused(capsys, *arguments, match: str) -> None:
    """Exit code 2 and one sentence."""
    capsys.readouterr()
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert match in said.err
    assert len(said.err.strip().splitlines()) == 1


@pytest.fixture
def pair(tmp_path):
    image, truth = samples.blobs(2, 64)
    write_array(tmp_path / "image.tif", image, Axes.of("ZYX"))
    write_array(tmp_path / "strokes.tif", samples.strokes(truth, 18), Axes.of("ZYX"))
    return tmp_path / "image.tif", tmp_path / "strokes.tif"


@pytest.fixture
def model(tmp_path):
    """A model with random weights; what it predicts does not matter here."""
    network = NetworkConfig(width=4, depth=2, out_channels=2)
    config = ModelConfig(network=network, classes=classes_from_values([1, 2]))
    path = tmp_path / "m.safetensors"
    Model(config, build_network(network)).save(path)
    return path


def test_killed_while_predicting_and_resumed(tmp_path, model):
    image = np.random.default_rng(0).integers(0, 255, (60, 128, 128)).astype(np.uint8)
    np.save(tmp_path / "stack.npy", image)
    out, whole = tmp_path / "masks.tif", tmp_path / "whole.tif"
    log = tmp_path / "masks.tif.partial" / "done.txt"
    program = start("predict", model, tmp_path / "stack.npy", "--out", out)
    until(lambda: log.is_file() and len(log.read_text().splitlines()) > 3, program)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    assert not out.exists()
    done = len(log.read_text().splitlines()) - 1
    assert 0 < done < 60
    assert run("predict", model, tmp_path / "stack.npy", "--out", out, "--resume") == 0
    assert run("predict", model, tmp_path / "stack.npy", "--out", whole) == 0
    np.testing.assert_array_equal(
        open_image(out).data[...], open_image(whole).data[...]
    )
    assert not log.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_saves_what_it_has(tmp_path, pair, number):
    out = tmp_path / "x.safetensors"
    program = start("train", pair[0], "--labels", pair[1], "--out", out,
                    "--seconds", 300)  # fmt: skip
    for line in program.stderr:
        if "Dice" in line:
            break
    program.send_signal(number)
    said = program.communicate(timeout=120)[1]
    assert program.returncode == 0, said
    assert load_model(out).config.training["steps"] > 0


def test_killed_while_training_leaves_nothing_half_written(tmp_path, pair):
    out = tmp_path / "x.safetensors"
    program = start("train", pair[0], "--labels", pair[1], "--out", out,
                    "--seconds", 300)  # fmt: skip
    for line in program.stderr:
        if "Training" in line:
            break
    program.kill()
    program.communicate()
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_while_saving_a_model(small_disk, pair, capsys):
    (small_disk / "filler").write_bytes(bytes(500 * 1024))
    out = small_disk / "x.safetensors"
    order = ("train", pair[0], "--labels", pair[1], "--out", out, "--steps", 1)
    assert run(*order) == 2
    assert "disk is full" in capsys.readouterr().err.splitlines()[-1]
    assert [p.name for p in small_disk.iterdir()] == ["filler"]


def test_full_disk_while_predicting(tmp_path, small_disk, model, capsys):
    random = np.random.default_rng(0)
    np.save(tmp_path / "stack.npy", random.integers(0, 255, (9, 256, 256), np.uint8))
    (small_disk / "filler").write_bytes(bytes(480 * 1024))
    out = small_disk / "y.tif"
    assert run("predict", model, tmp_path / "stack.npy", "--out", out) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "full" in said or "cannot be written" in said
    assert not out.exists()


def hostile(tmp_path, **changes):
    """A model file whose description asks for something outrageous."""
    raw = ModelConfig(classes=classes_from_values([1, 2])).model_dump(mode="json")
    network = {**raw["network"], **changes.pop("network", {})}
    raw = {**raw, "network": network, **changes}
    path = tmp_path / "hostile.safetensors"
    tensors = {"x": np.zeros(1, np.float32)}
    path.write_bytes(save(tensors, metadata={"napari_fcn": json.dumps(raw)}))
    return path


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"network": {"width": 1024, "depth": 8}}, "do not fit"),
        ({"network": {"width": 10**9}}, "damaged"),
        ({"network": {"name": "../../etc/passwd"}}, "choose one of"),
        ({"network": {"name": "os.system"}}, "choose one of"),
        ({"format": 99}, "newer"),
        ({"surprise": 1}, "damaged"),
        ({"classes": []}, "damaged"),
    ],
)
def test_hostile_models(tmp_path, capsys, changes, match):
    refused(capsys, "info", hostile(tmp_path, **changes), match=match)


def test_a_network_that_the_memory_cannot_hold(tmp_path, capsys, pair):
    """The system would kill the program, without a word."""
    refused(capsys, "train", pair[0], "--labels", pair[1], "--out", tmp_path / "x",
            "--setting", "width=1024", "--setting", "depth=8",
            match="choose less width or depth")  # fmt: skip


@pytest.mark.parametrize("verb", ["train", "predict"])
def test_a_damaged_tile_in_the_middle_of_an_image(tmp_path, capsys, model, verb):
    """It is opened without complaint, and found out when it is read."""
    random = np.random.default_rng(0)
    image = tmp_path / "image.tif"
    plane = random.integers(0, 255, (64, 64)).astype(np.uint8)
    tifffile.imwrite(image, plane, tile=(16, 16), compression="zlib")
    content = bytearray(image.read_bytes())
    with tifffile.TiffFile(image) as file:
        for start in file.pages.first.dataoffsets:
            content[start : start + 60] = bytes(60)
    image.write_bytes(content)
    labels = tmp_path / "labels.npy"
    np.save(labels, (np.arange(64 * 64).reshape(64, 64) // 1024).astype(np.uint8))
    out = tmp_path / "out.tif"
    order = {"train": ("train", image, "--labels", labels, "--out", out),
             "predict": ("predict", model, image, "--out", out)}  # fmt: skip
    assert run(*order[verb]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "could not be read" in last
    assert not out.exists()


def test_masks_of_single_objects_are_no_classes(tmp_path, capsys, pair):
    objects = np.arange(2 * 64 * 64).reshape(2, 64, 64) // 128
    np.save(tmp_path / "objects.npy", objects)
    refused(capsys, "train", pair[0], "--labels", tmp_path / "objects.npy", "--out",
            tmp_path / "x", match="give every object of a class the same")  # fmt: skip


def test_a_truth_with_negative_numbers(tmp_path, capsys, pair, model):
    np.save(tmp_path / "truth.npy", np.full((2, 64, 64), -1))
    refused(capsys, "evaluate", model, pair[0], "--truth", tmp_path / "truth.npy",
            match="negative")  # fmt: skip


def test_a_mask_of_0_and_1_is_not_taken_for_strokes(tmp_path, capsys, pair, model):
    order = ("evaluate", model, pair[0], "--truth", tmp_path / "truth.npy")
    mask = np.zeros((2, 64, 64), np.uint8)
    mask[:, 20:40] = 1
    np.save(tmp_path / "truth.npy", mask)
    refused(capsys, *order, match="give them the number 2")
    for good in (2 * mask, 255 * mask, np.ones_like(mask), 1 + mask):
        np.save(tmp_path / "truth.npy", good)
        assert run(*order) == 0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_models(tmp_path, capsys, model, share):
    whole = model.read_bytes()
    model.write_bytes(whole[: int(len(whole) * share)])
    refused(capsys, "info", model, match="m.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_images_with_values_that_are_no_intensities(tmp_path, value, capsys):
    image, truth = samples.blobs(1, 64)
    picture = image[0].astype(np.float32)
    picture[10:30, 10:50] = value
    np.save(tmp_path / "image.npy", picture)
    np.save(tmp_path / "labels.npy", samples.strokes(truth)[0])
    out = tmp_path / "x.safetensors"
    assert run("train", tmp_path / "image.npy", "--labels", tmp_path / "labels.npy",
               "--out", out, "--steps", 5) == 0  # fmt: skip
    masks = tmp_path / "masks.npy"
    assert run("predict", out, tmp_path / "image.npy", "--out", masks) == 0
    assert set(np.unique(np.load(masks))) <= {0, 2, 3}


@pytest.fixture
def filled(tmp_path):
    """Make an image that is the same everywhere; return how it is trained on."""
    labels = np.zeros((32, 32), np.uint8)
    labels[:8], labels[-8:] = 1, 2
    np.save(tmp_path / "labels.npy", labels)

    def words(value):
        np.save(tmp_path / "image.npy", np.full((32, 32), value, np.float32))
        return ("train", tmp_path / "image.npy", "--labels", tmp_path / "labels.npy",
                "--out", tmp_path / "x.safetensors", "--steps", 3)  # fmt: skip

    return words


def test_a_constant_image_trains_without_a_crash(tmp_path, filled):
    assert run(*filled(7)) == 0
    for tensor in load_model(tmp_path / "x.safetensors").network.state_dict().values():
        assert np.isfinite(tensor.numpy()).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_any_number_is_refused(capsys, model, tmp_path, filled, value):
    refused(capsys, *filled(value), match="no numbers")
    refused(capsys, "predict", model, tmp_path / "image.npy",
            "--out", tmp_path / "masks.tif", match="no numbers")  # fmt: skip


def test_one_painted_pixel_of_each_class(tmp_path):
    labels = np.zeros((1, 2), np.uint8)
    labels[0, 0], labels[0, 1] = 1, 2
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "image.npy", np.array([[0, 255]], np.uint8))
    assert run("train", tmp_path / "image.npy", "--labels", tmp_path / "labels.npy",
               "--out", tmp_path / "x.safetensors", "--steps", 2) == 0  # fmt: skip


def test_names_with_spaces_and_letters_of_other_scripts(tmp_path, pair):
    folder = tmp_path / "zwei Wörter – 細胞"
    folder.mkdir()
    image = folder / "im age µ.tif"
    image.write_bytes(pair[0].read_bytes())
    out = folder / "mo del.safetensors"
    assert run("train", image, "--labels", pair[1], "--out", out, "--steps", 1) == 0
    masks = folder / "ma sks.tif"
    assert run("predict", out, image, "--out", masks) == 0
    assert open_image(masks).data.shape == (2, 64, 64)
