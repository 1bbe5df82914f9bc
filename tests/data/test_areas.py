"""Drawn areas as pixels, and several images as one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.data.areas import box_of, draw_areas
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.data.stacked import StackedImages
from napari_fcn.errors import UserError


def test_areas_cover_the_pixels_whose_centres_are_inside():
    square = ((1, 2), (1, 5), (4, 5), (4, 2))
    mask = draw_areas([("rectangle", square)], Axes.of("YX"), (8, 8))
    expected = np.zeros((8, 8))
    expected[1:5, 2:6] = 1
    np.testing.assert_array_equal(mask, expected)


def test_an_area_lies_in_its_plane_only():
    corners = ((1, 0, 0), (1, 0, 9), (1, 9, 9), (1, 9, 0))
    mask = draw_areas([("polygon", corners)], Axes.of("ZYX"), (3, 10, 10))
    assert mask.sum(axis=(1, 2)).tolist() == [0, 100, 0]


def test_in_3d_an_area_goes_through_the_volume_but_not_through_time():
    corners = ((1, 2, 0, 0), (1, 2, 0, 4), (1, 2, 9, 4), (1, 2, 9, 0))
    axes, shape = Axes.of("TZYX"), (2, 3, 10, 10)
    mask = draw_areas([("rectangle", corners)], axes, shape, 3)
    assert mask.sum(axis=(2, 3)).tolist() == [[0, 0, 0], [50, 50, 50]]
    region = (slice(0, 3), slice(0, 10), slice(0, 5))
    assert box_of(corners, axes, shape, 3) == ((1,), region)
    assert box_of(corners, axes, shape, 2) == ((1, 2), region[1:])


@pytest.mark.parametrize(("names", "shape"), [("XY", (20, 12)), ("YX", (12, 20))])
def test_areas_follow_the_order_of_the_axes(names, shape):
    corners = {"Y": (2, 4), "X": (10, 15)}
    (a, b), (c, d) = corners[names[0]], corners[names[1]]
    mask = draw_areas(
        [("rectangle", ((a, c), (a, d), (b, d), (b, c)))], Axes.of(names), shape
    )
    assert mask[a : b + 1, c : d + 1].all()
    assert mask.sum() == (b - a + 1) * (d - c + 1)


def test_an_ellipse_is_smaller_than_its_box():
    box = ((2, 2), (2, 17), (17, 17), (17, 2))
    mask = draw_areas([("ellipse", box)], Axes.of("YX"), (20, 20))
    assert mask.sum() == pytest.approx(np.pi / 4 * 15**2, rel=0.08)
    assert not mask[2, 2]


def test_boxes_are_clipped_and_those_outside_are_none():
    axes, shape = Axes.of("TYX"), (4, 10, 10)
    corners = ((2, -3, 4.5), (2, -3, 30), (2, 5, 30), (2, 5, 4.5))
    assert box_of(corners, axes, shape, 2) == ((2,), (slice(0, 6), slice(5, 10)))
    outside = ((2, 20, 4), (2, 20, 8), (2, 30, 8), (2, 30, 4))
    assert box_of(outside, axes, shape, 2) is None


def test_images_become_the_channels_of_one():
    first = ImageSource(np.full((3, 8, 9), 1.0), Axes.of("ZYX"), 2)
    second = ImageSource(np.full((3, 2, 8, 9), 2.0), Axes.of("ZCYX"), 2)
    both = StackedImages([first, second])
    block = both.read((1,), (slice(0, 4), slice(2, 5)))
    assert both.n_channels == 3
    assert block.shape == (3, 4, 3)
    assert block[:, 0, 0].tolist() == [1, 2, 2]
    with pytest.raises(UserError, match="differ in size"):
        StackedImages([first, ImageSource(np.zeros((3, 8, 8)), Axes.of("ZYX"), 2)])
