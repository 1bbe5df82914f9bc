"""What a layer says of its image, and image files as layers."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Image

from napari_fcn.data.axes import Axes
from napari_fcn.errors import UserError
from napari_fcn.export.masks import write_array
from napari_fcn.widgets.reader import PATH, read
from napari_fcn.widgets.reading import (
    axes_choices,
    axes_of,
    describe,
    path_of,
    with_file,
)


def image(*shape, **options):
    return Image(np.zeros(shape, np.uint8), name="image", **options)


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ((20, 30), "YX"),
        ((40, 20, 30), "ZYX"),
        ((2, 20, 30), "ZYX"),
        ((9, 7, 20, 30), "TZYX"),
        ((9, 3, 20, 30), "ZCYX"),
        ((3, 9, 20, 30), "CZYX"),
        ((9, 2, 8, 20, 30), "TCZYX"),
        ((9, 8, 2, 20, 30), "TZCYX"),
        ((2, 9, 8, 20, 30), "CTZYX"),
        ((6, 9, 2, 8, 20, 30), "QTCZYX"),
    ],
)
def test_the_likeliest_axes_come_first(shape, first):
    choices = axes_choices(image(*shape))
    assert choices[0] == first
    assert len(set(choices)) == len(choices)
    assert all(len(names) == len(shape) for names in choices)


def test_axis_labels_are_believed():
    assert axes_choices(image(9, 20, 30, axis_labels=("t", "y", "x")))[0] == "TYX"
    labels = ("c", "z", "y", "x")
    assert axes_choices(image(9, 8, 20, 30, axis_labels=labels))[0] == "CZYX"
    for labels in (("plane", "y", "x"), ("a", "b", "c"), ("y", "y", "x")):
        assert axes_choices(image(9, 20, 30, axis_labels=labels))[0] == "ZYX"


def test_colour_is_no_axis_to_name():
    assert axes_choices(image(20, 30, 3, rgb=True)) == ("YX",)
    assert axes_choices(image(5, 20, 30, 4, rgb=True)) == ("ZYX", "TYX")
    labels = ("c", "y", "x")
    assert "CYX" not in axes_choices(image(5, 20, 30, 3, rgb=True, axis_labels=labels))


def test_too_many_axes():
    with pytest.raises(UserError, match="2 to 6"):
        axes_choices(image(*(2,) * 7))
    with pytest.raises(UserError, match="colour"):
        axes_choices(image(*(2,) * 6, 3, rgb=True))


@pytest.mark.parametrize("names", ["", "YX", "ZYXT", "ZZX", "ABC", "1YX", "SYX", "zyx"])
def test_names_that_do_not_fit(names):
    with pytest.raises(UserError, match=r"Name the 3 axes of image .* ZYX"):
        axes_of(image(4, 20, 30), names)


def test_channels_of_a_colour_image_are_refused():
    with pytest.raises(UserError, match="in colour"):
        axes_of(image(4, 20, 30, 3, rgb=True), "CYX")


def test_place_and_units_of_a_layer():
    layer = image(
        4,
        20,
        30,
        scale=(2, 0.5, 0.25),
        translate=(-1, 5, 7),
        units=("second", "um", "micrometer"),
    )
    assert axes_of(layer, "TYX") == Axes(
        "TYX", (2, 0.5, 0.25), ("second", "micrometer", "micrometer"), (-1, 5, 7)
    )
    colour = image(20, 30, 3, rgb=True, scale=(0.5, 0.25), translate=(5, 7))
    assert axes_of(colour, "YX") == Axes.of("YXS", (0.5, 0.25, 1), "pixel", (5, 7, 0))


def test_words_for_an_image():
    assert describe(image(20, 30), "YX") == "30 × 20 pixels, no scale given"
    stack = image(4, 20, 30, scale=(2, 0.5, 0.5), units=("um",) * 3)
    known = Axes.of("ZYX", (2, 0.5, 0.25), "nanometer")
    assert describe(stack, "ZYX", known).endswith("0.25 nm per pixel")
    assert describe(stack, "ZYX") == "4 slices – 30 × 20 pixels, 0.5 µm per pixel"
    colour = image(4, 20, 30, 3, rgb=True)
    assert "4 time points, in colour" in describe(colour, "TYX")
    assert "2 positions" in describe(image(2, 20, 30), "IYX")


def test_the_file_of_a_layer(tmp_path):
    stored = tmp_path / "a.npy"
    np.save(stored, np.zeros((20, 30), np.uint8))
    assert path_of(Image(np.load(stored, mmap_mode="r"))) == stored
    assert path_of(image(20, 30)) is None
    assert path_of(image(20, 30, metadata={"napari_fcn_path": "/gone/a.tif"})) is None
    data, options, _ = read(stored)[0]
    assert path_of(Image(data, **options)) == stored


def roundtrip(path, array, axes):
    """Write a file and open it as napari would."""
    write_array(path, array, axes)
    viewer = ViewerModel()
    data, options, kind = read(path)[0]
    return getattr(viewer, f"add_{kind}")(data, **options)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr"])
@pytest.mark.parametrize("names", ["YX", "ZYX", "TYX", "CYX", "ZCYX", "TCZYX", "YXS"])
def test_a_file_becomes_a_layer_with_axes_and_scale(tmp_path, suffix, names):
    sizes = {"T": 2, "C": 2, "Z": 3, "Y": 20, "X": 30, "S": 3}
    array = np.random.default_rng(0).integers(0, 99, [sizes[n] for n in names], "u1")
    scale = [{"T": 5.0, "Z": 2.0, "Y": 0.5, "X": 0.25}.get(n, 1.0) for n in names]
    units = [
        "second" if n == "T" else "pixel" if n in "CS" else "micrometer" for n in names
    ]
    path = tmp_path / f"a{suffix}"
    layer = roundtrip(path, array, Axes.of(names, scale, units))
    assert layer.rgb == names.endswith("S")
    assert axes_choices(layer)[0] == names.removesuffix("S")
    assert axes_of(layer, names.removesuffix("S")) == Axes.of(names, scale, units)
    np.testing.assert_array_equal(np.asarray(layer.data), array)
    assert path_of(layer) == path


def test_units_that_napari_does_not_know(tmp_path):
    axes = Axes.of("ZYX", (2.0, 0.5, 0.5), "cubit")
    layer = roundtrip(tmp_path / "a.tif", np.zeros((3, 20, 30), np.uint8), axes)
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3


def test_colour_beside_channels(tmp_path):
    path = tmp_path / "a.tif"
    write_array(path, np.zeros((4, 20, 30, 2), np.uint8), Axes.of("CYXS"))
    layer = ViewerModel().add_image(read(path)[0][0], **read(path)[0][1])
    assert not layer.rgb
    assert len(set(layer.axis_labels)) == 4


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 no more than that")
    (tmp_path / "b.zarr").mkdir()
    zarr.create_array(str(tmp_path / "c.zarr"), shape=(0, 4), dtype="u1")
    for name in ("a.tif", "b.zarr", "c.zarr", "missing.tif"):
        with pytest.raises(UserError):
            read(tmp_path / name)


def test_a_file_of_another_program(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((3, 20, 30), np.uint16),
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": "um", "spacing": 2.0, "axes": "ZYX"},
    )
    data, options, _ = read(path)[0]
    assert options["scale"] == pytest.approx((2.0, 0.25, 0.25))
    assert options["units"] == ["micrometer"] * 3
    assert Image(data, **options).ndim == 3


def test_the_scale_of_the_file_is_taken_where_the_layer_has_none(tmp_path):
    path, stack = tmp_path / "x.tif", np.zeros((4, 20, 30), np.uint8)
    written = Axes.of("ZYX", (2.0, 0.5, 0.25), "micrometer")
    write_array(path, stack, written)
    layer = image(4, 20, 30, metadata={PATH: str(path)})
    assert with_file(layer, axes_of(layer, "ZYX")) == written
    as_time = with_file(layer, axes_of(layer, "TYX"))
    assert as_time == Axes.of(
        "TYX", (1.0, 0.5, 0.25), ("pixel", "micrometer", "micrometer")
    )
    layer.scale = (1, 3, 3)  # what the user says counts
    assert with_file(layer, axes_of(layer, "ZYX")).scale == (1, 3, 3)


def test_another_file_than_that_of_the_layer_says_nothing(tmp_path):
    write_array(tmp_path / "x.tif", np.zeros((4, 5), np.uint8), Axes.of("YX", (2, 2)))
    layer = image(20, 30, metadata={PATH: str(tmp_path / "x.tif")})
    assert with_file(layer, axes_of(layer, "YX")) == axes_of(layer, "YX")
    (tmp_path / "x.tif").write_bytes(b"damaged")
    assert with_file(layer, axes_of(layer, "YX")) == axes_of(layer, "YX")
