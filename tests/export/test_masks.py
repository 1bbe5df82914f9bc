from __future__ import annotations

import errno
import math
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fcn.data.axes import Axes
from napari_fcn.data.readers import open_image
from napari_fcn.errors import UserError
from napari_fcn.export import masks
from napari_fcn.export.masks import (
    write_array,
    write_ome_zarr,
    write_png,
    write_tiff,
)

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
    ">u2",
    ">f4",
]


@st.composite
def images(draw, letters="TCZSQ", dtypes=tuple(DTYPES)):
    """An array with axes in any order, of any type, scale and unit."""
    some = draw(st.lists(st.sampled_from(letters), max_size=3, unique=True))
    names = "".join(draw(st.permutations([*some, "Y", "X"])))
    shape = tuple(draw(st.integers(1, 5)) for _ in names)
    steps = st.floats(1e-3, 1e3) | st.sampled_from([1.0, -2.0, 1e-9, 1e12])
    units = st.sampled_from(["pixel", "micrometer", "nanometer", "second", "a=b\n{µ}"])
    axes = Axes(
        names,
        tuple(draw(steps) for _ in names),
        tuple(draw(units) for _ in names),
        tuple(draw(st.floats(-1e6, 1e6)) for _ in names),
    )
    values = np.arange(math.prod(shape)).reshape(shape) % 120
    return values.astype(draw(st.sampled_from(list(dtypes)))), axes


def check_equal(opened, array, axes):
    assert opened.axes == axes
    assert tuple(opened.data.shape) == array.shape
    np.testing.assert_array_equal(np.asarray(opened.data), array)


ANY = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@ANY
@given(image=images(), suffix=st.sampled_from([".tif", ".ome.tif", ".ome.zarr"]))
def test_round_trip_of_any_axes_type_and_scale(tmp_path, image, suffix):
    array, axes = image
    written = write_array(tmp_path / f"image{suffix}", array, axes)
    opened = open_image(written)
    check_equal(opened, array, axes)
    assert opened.name == "image"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@ANY
@given(image=images(), region=st.integers(0, 10**6))
def test_what_is_read_back_is_lazy_and_sliceable(tmp_path, image, region):
    array, axes = image
    write_array(tmp_path / "image.ome.zarr", array, axes)
    write_array(tmp_path / "image.tif", array, axes)
    index = tuple(region % n for n in array.shape[:-1])
    for name in ("image.ome.zarr", "image.tif"):
        data = open_image(tmp_path / name).data
        np.testing.assert_array_equal(np.asarray(data[index]), array[index])


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array, zarr.array])
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr", ".npy"])
def test_lazy_arrays(tmp_path, wrap, suffix):
    array = np.random.default_rng(0).integers(0, 9, (3, 4, 50, 60)).astype(np.uint16)
    written = write_array(tmp_path / f"a{suffix}", wrap(array), Axes.of("TZYX"))
    np.testing.assert_array_equal(np.asarray(open_image(written).data), array)


class Planes:
    """A lazy stack that only ever gives single planes."""

    shape = (4, 3, 20, 30)
    dtype = np.dtype(np.int32)

    def __getitem__(self, key):
        t, z, *rest = key
        assert isinstance(t, int)
        assert isinstance(z, int)
        return np.full(self.shape[2:], 10 * t + z, np.int32)[tuple(rest)]


@pytest.mark.parametrize("writer", [write_tiff, write_ome_zarr])
def test_memory_stays_bounded(tmp_path, writer):
    name = "a.tif" if writer is write_tiff else "a.zarr"
    written = writer(tmp_path / name, Planes(), Axes.of("TZYX"))
    data = np.asarray(open_image(written).data)
    assert data[3, 2, 0, 0] == 32
    assert data.shape == Planes.shape


def test_fiji_finds_scale_and_axes(tmp_path):
    array = np.zeros((2, 5, 3, 16, 17), np.uint16)
    axes = Axes.of(
        "TZCYX",
        (30, 0.5, 1, 0.1, 0.1),
        ("second", "micrometer", "pixel", "micrometer", "micrometer"),
    )
    write_tiff(tmp_path / "a.tif", array, axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        meta = tif.imagej_metadata
        assert (meta["frames"], meta["slices"], meta["channels"]) == (2, 5, 3)
        assert meta["unit"] == "um"
        assert meta["spacing"] == 0.5
        assert meta["finterval"] == 30
        assert tif.series[0].axes == "TZCYX"
        top, bottom = tif.pages[0].tags["XResolution"].value
        assert top / bottom == pytest.approx(10)


def test_ome_tiff_tells_others_its_scale(tmp_path):
    axes = Axes.of("ZYX", (0.5, 0.1, 0.2), "micrometer")
    write_tiff(tmp_path / "a.tif", np.zeros((5, 16, 17), np.int32), axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "ZYX"
        assert 'PhysicalSizeX="0.2"' in tif.ome_metadata
        assert 'PhysicalSizeXUnit="µm"' in tif.ome_metadata


def test_rgb_stays_rgb_for_others(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((9, 8, 3), np.uint8), Axes.of("YXS"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].axes == "YXS"
        assert tif.pages[0].photometric == 2


def test_large_images_become_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "_CLASSIC_LIMIT", 1000)
    array = np.arange(4000, dtype=np.uint16).reshape(4, 20, 50)
    axes = Axes.of("ZYX", (2, 1, 1), "micrometer")
    write_tiff(tmp_path / "a.tif", array, axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff
        assert tif.is_ome
    check_equal(open_image(tmp_path / "a.tif"), array, axes)


def test_ome_zarr_metadata(tmp_path):
    axes = Axes.of("YXZ", (1, 2, 3), "micrometer", (4, 5, 6))
    path = write_ome_zarr(tmp_path / "a.zarr", np.zeros((4, 5, 6), np.uint8), axes)
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == 3
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert "image-label" in ome
    assert [a["name"] for a in ome["multiscales"][0]["axes"]] == ["z", "y", "x"]
    steps = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert steps[0]["scale"] == [3, 1, 2]
    assert steps[1]["translation"] == [6, 4, 5]
    assert group["0"].shape == (6, 4, 5)


def test_float_images_are_no_labels(tmp_path):
    path = write_ome_zarr(tmp_path / "a.zarr", np.zeros((4, 5)), Axes.of("YX"))
    assert "image-label" not in zarr.open_group(path, mode="r").attrs["ome"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int64"])
def test_png(tmp_path, dtype):
    array = (np.arange(30).reshape(5, 6) * 20).astype(dtype)
    path = write_png(tmp_path / "a.png", array, Axes.of("YX"))
    np.testing.assert_array_equal(open_image(path).data, array)


def test_png_of_a_transposed_image(tmp_path):
    array = np.arange(30, dtype=np.uint8).reshape(6, 5)
    path = write_png(tmp_path / "a.png", array, Axes.of("XY"))
    np.testing.assert_array_equal(open_image(path).data, array.T)


def test_png_in_colour(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (9, 8, 3), np.uint8)
    path = write_png(tmp_path / "a.png", array, Axes.of("YXS"))
    np.testing.assert_array_equal(open_image(path).data, array)


def test_a_stack_becomes_numbered_files(tmp_path):
    array = np.arange(12 * 20, dtype=np.uint16).reshape(12, 4, 5)
    folder = write_png(tmp_path / "stack.png", array, Axes.of("ZYX"))
    files = sorted(folder.iterdir())
    assert folder == tmp_path / "stack"
    assert files[0].name == "stack_0000.png"
    assert len(files) == 12
    np.testing.assert_array_equal(open_image(files[7]).data, array[7])


@pytest.mark.parametrize("value", [-1, 70_000, 0.5])
def test_png_refuses_what_it_cannot_hold(tmp_path, value):
    with pytest.raises(UserError, match="PNG holds"):
        write_png(tmp_path / "a.png", np.full((3, 3), value), Axes.of("YX"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.ome", "a.mrc"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="end the name"):
        write_array(tmp_path / name, np.zeros((3, 3)), Axes.of("YX"))


@pytest.mark.parametrize("array", [np.zeros((2, 2), complex), np.zeros((0, 2))])
def test_no_image_is_refused(tmp_path, array):
    for suffix in (".tif", ".png", ".zarr", ".npy"):
        with pytest.raises(UserError):
            write_array(tmp_path / f"a{suffix}", array, Axes.of("YX"))
    assert list(tmp_path.iterdir()) == []


class FullDisk(Planes):
    def __getitem__(self, key):
        if key[0] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().__getitem__(key)


class Failing(Planes):
    def __getitem__(self, key):
        if key[0] == 2:
            raise ZeroDivisionError
        return super().__getitem__(key)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr", "a.png"])
def test_a_full_disk_leaves_what_was_there(tmp_path, name):
    before = write_array(tmp_path / name, Planes(), Axes.of("TZYX"))
    content = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="disk is full"):
        write_array(tmp_path / name, FullDisk(), Axes.of("TZYX"))
    with pytest.raises(ZeroDivisionError):
        write_array(tmp_path / name, Failing(), Axes.of("TZYX"))
    assert sorted(tmp_path.rglob("*")) == content
    assert before.exists()


def test_replacing_a_folder(tmp_path):
    first, second = np.zeros((3, 3)), np.ones((4, 4))
    for array in (first, second):
        path = write_ome_zarr(tmp_path / "a.zarr", array, Axes.of("YX"))
    np.testing.assert_array_equal(np.asarray(open_image(path).data), second)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="Cannot write"):
        write_tiff(tmp_path / "file" / "a.tif", np.zeros((3, 3)), Axes.of("YX"))


def test_missing_folders_are_made(tmp_path):
    path = write_tiff(tmp_path / "x" / "y" / "a.tif", np.ones((3, 3)), Axes.of("YX"))
    assert path.is_file()


def test_single_files_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_array("a.tif", np.ones((3, 3)), Axes.of("YX")) == Path("a.tif")
    assert Path("a.tif").is_file()
