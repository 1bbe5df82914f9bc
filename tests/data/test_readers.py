"""Image files: what they say of axes and scale, and what becomes of damaged ones."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_fcn.cli import main
from napari_fcn.data.axes import Axes
from napari_fcn.data.readers import open_image
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import SeveralImagesWarning, UserError
from napari_fcn.export.masks import write_array

MANY = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
STACK = np.random.default_rng(0).integers(0, 255, (3, 24, 20)).astype(np.uint8)
WRITERS = {
    "imagej.tif": lambda path: tifffile.imwrite(
        path,
        STACK,
        imagej=True,
        resolution=(4, 2),
        metadata={"axes": "ZYX", "spacing": 2, "unit": "um"},
    ),
    "tiles.tif": lambda path: tifffile.imwrite(
        path, STACK, photometric="minisblack", tile=(16, 16), compression="zlib"
    ),
    "stack.ome.tif": lambda path: tifffile.imwrite(
        path,
        STACK,
        photometric="minisblack",
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": 0.25,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZ": 2.0,
            "PhysicalSizeZUnit": "µm",
        },
    ),
    "stack.npy": lambda path: np.save(path, STACK),
    "plane.png": lambda path: Image.fromarray(STACK[0]).save(path),
    "plane.bmp": lambda path: Image.fromarray(STACK[0]).save(path),
    "plane.jpg": lambda path: Image.fromarray(STACK[0]).save(path),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, write in WRITERS.items():
        write(folder / name)
    return {name: (folder / name).read_bytes() for name in WRITERS}


@pytest.mark.parametrize("name", ["imagej.tif", "stack.ome.tif"])
def test_tiff_with_scale(tmp_path, name):
    WRITERS[name](tmp_path / name)
    opened = open_image(tmp_path / name)
    assert opened.axes.names == "ZYX"
    assert opened.axes.scale == pytest.approx((2.0, 0.5, 0.25))
    assert opened.axes.units == ("micrometer",) * 3
    np.testing.assert_array_equal(np.asarray(opened.data), STACK)


@pytest.mark.parametrize("name", ["tiles.tif", "stack.npy"])
def test_files_that_know_no_scale(tmp_path, name):
    WRITERS[name](tmp_path / name)
    opened = open_image(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(opened.data[...]), STACK)
    assert opened.axes.scale == (1.0, 1.0, 1.0)
    assert set(opened.axes.units) == {"pixel"}


def test_pictures_in_grey_and_colour(tmp_path):
    colour = np.stack([STACK[0]] * 3, axis=-1)
    for array, names in ((STACK[0], "YX"), (colour, "YXS")):
        Image.fromarray(array).save(tmp_path / "x.png")
        opened = open_image(tmp_path / "x.png")
        assert opened.axes.names == names
        np.testing.assert_array_equal(np.asarray(opened.data), array)


def test_ome_zarr(tmp_path):
    path = tmp_path / "x.ome.zarr"
    write_array(path, STACK, Axes.of("ZYX", (2.0, 0.5, 0.25), "micrometer"))
    opened = open_image(path)
    assert isinstance(opened.data, zarr.Array)
    assert opened.axes.names == "ZYX"
    assert opened.axes.scale == pytest.approx((2.0, 0.5, 0.25))
    np.testing.assert_array_equal(opened.data[...], STACK)


def read(path, content: bytes) -> np.ndarray | str:
    """Read a damaged file as all others do; returns what is said if it is refused."""
    path.write_bytes(content)
    try:
        opened = open_image(path)
        if opened.data.nbytes > 1 << 24:  # what it claims now
            return f"{opened.name} is large"
        source = ImageSource(opened.data, opened.axes, 2, opened.name)
        whole = tuple(slice(0, n) for n in source.spatial_shape)
        return np.stack([source.read(s, whole) for s in source.samples()])
    except UserError as error:
        return str(error)


@MANY
@given(st.sampled_from(sorted(WRITERS)), st.floats(0, 1, exclude_max=True))
@example("imagej.tif", 0.003)
@example("stack.npy", 0.003)
def test_truncated_files(files, tmp_path, name, share):
    whole = files[name]
    found = read(tmp_path / name, whole[: int(share * len(whole))])
    if isinstance(found, str):
        assert name.split(".")[0] in found
        assert "\n" not in found
    else:  # the end of some files says nothing
        assert name not in ("stack.npy", "plane.bmp")
        assert not name.endswith(".tif") or found.size == STACK.size


@pytest.mark.parametrize("name", ["imagej.tif", "tiles.tif", "stack.ome.tif"])
def test_pages_that_were_cut_off(files, tmp_path, name):
    """The first page is still whole, but it is not the stack that was meant."""
    found = read(tmp_path / name, files[name][: 2 * len(files[name]) // 3])
    assert "is not a complete TIFF file" in found


def test_what_decoders_say_is_made_short(tmp_path):
    with pytest.raises(UserError, match=r"contains pickled .object. data\)"):
        open_image(_file(tmp_path / "x.npy", b"no array"))
    with pytest.raises(UserError, match=r"\(file '[^']*' not recognized as ND2\)"):
        open_image(_file(tmp_path / "x.nd2", b"no microscopy"))
    with pytest.raises(UserError, match="cannot be read"):  # it only warns, too
        open_image(_file(tmp_path / "x.czi", b"ZISRAWFILE" + bytes(range(256))))


def _file(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("ignore")  # of decoders about what they find
@MANY
@given(
    st.sampled_from(sorted(WRITERS)),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
        min_size=1,
        max_size=20,
    ),
)
@example("tiles.tif", [(0.5011489105857603, 95)])  # tiles of 25 gigabytes
def test_files_with_wrong_bytes(files, tmp_path, name, changes):
    content = bytearray(files[name])
    for place, value in changes:
        # most of them where the headers are
        content[int(place**4 * len(content))] = value
    found = read(tmp_path / name, bytes(content))
    assert not isinstance(found, str) or "\n" not in found


HOSTILE = {
    "head.czi": b"ZISRAWFILE" + bytes(600),
    "head.nd2": bytes.fromhex("dacebe0a") + bytes(8),
    "head.lif": struct.pack("<IIBI", 0x70, 13, 0x2A, 4) + "<a>\0".encode("utf-16-le"),
    "head.npy": b"\x93NUMPY\x01\x00\x06\x00{'a':\n",
    "object.npy": b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    + b"\n\x80\x04.",
    "huge.npy": b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '|u1', 'fortran_order': False, 'shape': (2**60,), }".ljust(117)
    + b"\n",
    "four.tif": b"II*\0",
    "loop.tif": b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0",
    "text.tif": b"an image",
    "text.png": b"an image",
    "nothing.tif": b"",
    "text.svg": b"<svg/>",
}


@pytest.mark.filterwarnings("ignore")  # of decoders about what they find
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name, capsys):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UserError, match=name):
        open_image(path)
    assert capsys.readouterr().err == ""


def test_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        open_image(tmp_path / "missing.tif")
    (tmp_path / "link.tif").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="There is no file"):
        open_image(tmp_path / "link.tif")
    with pytest.raises(UserError, match=r"null"):
        open_image("/dev/null")


def test_images_that_are_not_opened_are_told_of_once(tmp_path):
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.zeros((20, 30), np.uint8), metadata=None)
        tif.write(np.ones((40, 50), np.uint8), metadata=None)
    with pytest.warns(SeveralImagesWarning, match=r"two\.tif holds 2 images") as told:
        assert open_image(path).data.shape == (40, 50)
    assert len(told) == 1
    with warnings.catch_warnings(record=True) as again:
        open_image(path)
    assert not again


def test_a_thumbnail_is_no_image_of_its_own(tmp_path):
    path = tmp_path / "thumbnail.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.ones((400, 500), np.uint8), metadata=None)
        tif.write(np.zeros((20, 30), np.uint8), metadata=None)
    with warnings.catch_warnings(record=True) as told:
        assert open_image(path).data.shape == (400, 500)
    assert not told


def test_the_command_line_tells_of_other_images_in_one_line(tmp_path, capsys):
    path = tmp_path / "three.tif"
    with tifffile.TiffWriter(path) as tif:
        for size in (40, 30, 20):
            tif.write(np.zeros((size, 50), np.uint8), metadata=None)
    strokes = tmp_path / "strokes.npy"
    np.save(strokes, np.zeros((40, 50), np.uint8))
    given = [str(path), "--labels", str(strokes), "--out", str(tmp_path / "m.fcn")]
    assert main(["train", *given]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("napari-fcn: three.tif holds 3 images; the first")
    assert "Nothing is painted" in lines[1] or "labels" in lines[1]
    assert len(lines) == 2
