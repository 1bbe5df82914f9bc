"""Dots and boxes from files."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.io import imsave

from napari_fcn.data.axes import Axes
from napari_fcn.data.dot_files import read_boxes, read_dots, write_points
from napari_fcn.data.dots import Dots
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError


def source(shape=(40, 50), names="YX", ndim=2):
    return ImageSource(np.zeros(shape, np.uint8), Axes.of(names), ndim, "image")


def test_points_as_napari_writes_them(tmp_path):
    from napari_builtins.io import napari_write_points

    path = tmp_path / "points.csv"
    assert napari_write_points(str(path), np.array([[1.5, 2.0], [30, 40]]), {})
    dots = read_dots(path, source())
    np.testing.assert_array_equal(dots.places, [[1.5, 2], [30, 40]])
    assert set(dots.values.tolist()) == {2}


def test_points_with_classes_come_back(tmp_path):
    path = tmp_path / "points.csv"
    write_points(path, Dots.of([[1, 2.25, 3], [0, 5, 6]], [2, 7]))
    dots = read_dots(path, source((4, 40, 50), "TYX"))
    np.testing.assert_array_equal(dots.places, [[1, 2.25, 3], [0, 5, 6]])
    np.testing.assert_array_equal(dots.values, [2, 7])


def test_points_on_a_layer_with_channels(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("index,axis-0,axis-1,axis-2\n0,1.0,7.0,9.0\n")
    dots = read_dots(path, source((3, 40, 50), "CYX"))
    np.testing.assert_array_equal(dots.places, [[7, 9]])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("index,axis-0\n0,1\n", "columns of coordinates"),
        ("index,axis-0,axis-1\n0,1,x\n", "in place of a number"),
        ("index,axis-0,axis-1\n0,1\n", "different lengths"),
        ("index,axis-0,axis-1,class\n0,1,2,1.5\n", "whole numbers"),
    ],
)
def test_damaged_tables_are_one_sentence(tmp_path, text, match):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        read_dots(path, source())


def test_images_of_dots(tmp_path):
    dots = np.zeros((40, 50), np.uint8)
    dots[3, 4] = dots[3, 5] = dots[20, 30] = dots[31, 9] = 255
    imsave(tmp_path / "grey.png", dots, check_contrast=False)
    imsave(
        tmp_path / "red.png", np.stack([dots, 0 * dots, 0 * dots], -1),
        check_contrast=False,
    )  # fmt: skip
    for name in ("grey.png", "red.png"):
        found = read_dots(tmp_path / name, source())
        np.testing.assert_array_equal(found.places, np.argwhere(dots))
    patches = np.zeros((40, 50), np.uint8)
    patches[4:7, 8:11], patches[20:23, 30:33], patches[22:25, 33:36] = 2, 3, 2
    np.save(tmp_path / "patches.npy", patches)
    found = read_dots(tmp_path / "patches.npy", source())
    np.testing.assert_array_equal(found.places, [[5, 9], [23, 34], [21, 31]])
    np.testing.assert_array_equal(found.values, [2, 2, 3])


def test_boxes(tmp_path):
    path = tmp_path / "boxes.csv"
    rows = [(0, 4, 6, 12), (0, 4, 16, 12), (0, 14, 16, 12), (1, 0, 0, 3), (1, 9, 99, 3)]
    path.write_text(
        "index,axis-0,axis-1,count\n"
        + "".join(f"{i},{y},{x},{n}\n" for i, y, x, n in rows)
    )
    first, second = read_boxes(path, source())
    assert first.region == (slice(4, 14), slice(6, 16))
    assert first.counts == {2: 12}
    assert second.region == (slice(0, 9), slice(0, 50))  # cut off at the border
    path.write_text("axis-0,axis-1\n0,1\n")
    with pytest.raises(UserError, match="index and count"):
        read_boxes(path, source())
