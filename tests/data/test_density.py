"""Density maps: their sums are counts, wherever the objects are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config import ClassInfo, TrainingConfig
from napari_fcn.data.annotations import Annotations, LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.density import DotTargets, pieces_of, widths_of
from napari_fcn.data.dots import CountedBox, Dots, DottedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

CLASSES = (ClassInfo(value=2, name="cell"), ClassInfo(value=3, name="spot"))


def source(shape, names="YX", ndim=2, scale=None):
    image = np.broadcast_to(np.uint8(0), shape)
    return ImageSource(image, Axes.of(names, scale), ndim, "image")


def targets(item, widths, held_out=0.0):
    regions = LabelledImage(item.image, np.ascontiguousarray(item.annotated()), True)
    region = (ClassInfo(value=1, name="region"),)
    annotations = Annotations([regions], region, held_out=held_out)
    return DotTargets([item], CLASSES, annotations, widths)


def whole(item, widths, sample=()):
    made = targets(item, widths)
    return made.target(0, sample, item.image.whole(), False)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0, 39), st.floats(0, 29)), min_size=1, max_size=12),
    st.floats(0.5, 9),
)
def test_the_sum_is_the_count_even_at_borders(places, width):
    item = DottedImage(source((40, 30)), Dots.of(places))
    found = whole(item, [(width, width)] * 2)
    assert found[0].sum() == pytest.approx(len(places), rel=1e-4)
    assert found[1].sum() == 0
    assert (found >= 0).all()
    assert (found[-1] == 1).all()


def test_the_sum_over_a_region_is_the_count_in_it():
    regions = np.zeros((64, 64), np.uint8)
    regions[10:40, 12:50] = 1
    inside, outside = [(10, 12), (39, 49), (20, 20)], [(9, 12), (50, 50)]
    item = DottedImage(source((64, 64)), Dots.of(inside + outside), regions)
    found = whole(item, [(4, 4)] * 2)
    assert found[0].sum() == pytest.approx(len(inside), rel=1e-4)
    assert found[0][regions == 0].sum() == 0
    np.testing.assert_array_equal(found[-1], regions)


def test_sums_in_3d_with_long_steps_and_several_classes():
    image = source((8, 40, 40), "ZYX", 3, scale=(2.0, 0.5, 0.5))
    places = [(0, 5, 5), (7, 39, 39), (3, 20, 21), (4, 8, 30)]
    item = DottedImage(image, Dots.of(places, [2, 2, 3, 2]))
    widths = widths_of([item], CLASSES, (8.0, None))
    assert widths[0] == pytest.approx((0.5, 2.0, 2.0))
    found = whole(item, widths)
    assert found[:2].sum((1, 2, 3)) == pytest.approx([3, 1], rel=1e-4)


def test_a_part_of_a_map_is_the_same_as_the_map():
    random = np.random.default_rng(0)
    item = DottedImage(source((50, 60)), Dots.of(random.uniform(0, 49, (40, 2))))
    made = targets(item, [(2.5, 2.5)] * 2)
    region = (slice(13, 37), slice(20, 55))
    part = made.target(0, (), region, False)
    full = made.target(0, (), item.image.whole(), False)
    np.testing.assert_allclose(part, full[(slice(None), *region)], atol=1e-6)


def test_held_out_regions_are_seen_in_one_of_two_places_only():
    random = np.random.default_rng(0)
    item = DottedImage(source((256, 256)), Dots.of(random.uniform(0, 255, (90, 2))))
    made = targets(item, [(2.5, 2.5)] * 2, held_out=0.2)
    parts = [made.target(0, (), item.image.whole(), held) for held in (False, True)]
    assert 0.1 < parts[1][-1].mean() < 0.3
    np.testing.assert_array_equal(parts[0][-1] + parts[1][-1], 1)
    assert parts[0][0].sum() + parts[1][0].sum() == pytest.approx(90, rel=1e-4)


def test_widths_follow_the_spacing_of_dots():
    grid = np.stack(np.mgrid[5:100:10, 5:100:10], -1).reshape(-1, 2)
    wide = np.stack(np.mgrid[0:100:20, 0:100:20], -1).reshape(-1, 2)
    dots = Dots.of(np.concatenate([grid, wide]), [2] * len(grid) + [3] * len(wide))
    item = DottedImage(source((100, 100)), dots)
    assert widths_of([item], CLASSES) == ((3.0, 3.0), (6.0, 6.0))
    assert widths_of([item], CLASSES, (20.0,))[0] == (5.0, 5.0)


def test_only_slices_with_dots_are_annotated():
    item = DottedImage(source((5, 32, 32), "TYX"), Dots.of([(1, 4, 4), (3, 9, 9)]))
    np.testing.assert_array_equal(item.annotated().max((1, 2)), [0, 1, 0, 1, 0])
    assert set(item.by_sample()) == {(1,), (3,)}
    np.testing.assert_array_equal(item.by_sample()[3,].places, [[9, 9]])


def test_what_does_not_fit_is_refused():
    image = source((20, 20))
    with pytest.raises(UserError, match="2 axes"):
        DottedImage(image, Dots.of([(1, 2, 3)]))
    with pytest.raises(UserError, match="regions"):
        DottedImage(image, Dots.of([(1, 2)]), np.ones((3, 3)))
    for region in ((slice(0, 30), slice(0, 5)), (slice(0, 5),)):
        with pytest.raises(UserError, match="outside"):
            DottedImage(image, Dots.of([(1, 2)]), None, (CountedBox((), region, {}),))
    box = CountedBox((), image.whole(), {2: -1})
    with pytest.raises(UserError, match="0 or more"):
        DottedImage(image, Dots.of([(1, 2)]), None, (box,))
    with pytest.raises(UserError, match="finite"):
        Dots.of([(np.nan, 1)])


@given(st.integers(1, 90), st.integers(1, 90), st.integers(5, 40))
def test_pieces_cover_a_box_once(height, width, crop):
    box = (slice(3, 3 + height), slice(7, 7 + width))
    seen = np.zeros((100, 100), int)
    for piece in pieces_of(box, (crop, crop)):
        assert all(0 < s.stop - s.start <= crop for s in piece)
        seen[piece] += 1
    assert (seen[box] == 1).all()
    assert seen.sum() == height * width


def test_settings_know_the_default_loss_of_a_task():
    assert TrainingConfig().loss_for("l2") == "l2"
    assert TrainingConfig(loss="l1").loss_for("l2") == "l1"
