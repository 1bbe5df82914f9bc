"""What is marked for testing only is never learned from, and scores."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import classes_from_values
from napari_fcn.data.annotations import Annotations, LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

CLASSES = classes_from_values([1, 2])
BOX = (slice(1, 2), slice(0, 40), slice(20, 64))


def labels():
    found = np.zeros((3, 64, 64), np.uint8)
    for z in range(3):
        for x in range(4, 60, 10):
            found[z, 10:14, x : x + 4], found[z, 50:54, x : x + 4] = 1, 2
    found[1, 20:24, 30:40] = 2
    return found


def annotations(testing, names="ZYX", array=None):
    array = labels() if array is None else array
    image = ImageSource(np.zeros(array.shape, np.uint8), Axes.of(names), 2, "x")
    item = LabelledImage(image, array, testing=testing)
    return Annotations([item], CLASSES, held_out=0.2)


def learned(found, z):
    whole = (slice(0, 64), slice(0, 64))
    return found.target(0, (z,), whole, held=False)


def test_nothing_inside_is_learned_and_all_inside_scores():
    found = annotations((BOX,))
    inside = np.zeros((64, 64), bool)
    inside[BOX[1:]] = True
    painted = labels()[1] > 0
    assert (learned(found, 1)[inside] == -1).all()
    scored = found.target(0, (1,), (slice(0, 64), slice(0, 64)), held=True)
    assert (scored[inside & painted] >= 0).all()
    for places in found.by_class(held=False):
        for (_, sample), coordinates in places:
            if sample == (1,):
                assert not inside[tuple(coordinates.T)].any()
    assert not found.unscored_classes()
    assert found.held_pieces == 1


def test_all_outside_is_learned_where_the_user_says_what_scores():
    found = annotations((BOX,))
    outside = labels() > 0
    outside[BOX] = False
    for z in range(3):
        assert ((learned(found, z) >= 0) == outside[z]).all()


def test_a_part_of_the_box_in_a_part_of_the_plane():
    found = annotations((BOX,))
    region = (slice(8, 30), slice(16, 40))
    whole = learned(found, 1)
    part = found.target(0, (1,), region, held=False)
    np.testing.assert_array_equal(part, whole[region])


def test_strokes_painted_later_in_a_box_stay_unseen():
    array = labels()
    found = annotations((BOX,), array=array)
    array[1, 30:36, 40:50] = 1
    found.refresh(0, [(1,)])
    assert (learned(found, 1)[30:36, 40:50] == -1).all()


@pytest.mark.parametrize("names", ["ZYX", "ZXY"])
def test_a_whole_image_for_testing(names):
    one, other = labels(), labels()
    sources = [
        ImageSource(np.zeros(a.shape, np.uint8), Axes.of(names), 2, "x")
        for a in (one, other)
    ]
    box = tuple(slice(0, n) for n in one.shape)
    found = Annotations(
        [
            LabelledImage(sources[0], one),
            LabelledImage(sources[1], other, testing=(box,)),
        ],
        CLASSES,
        held_out=0.2,
    )
    assert {key[0] for places in found.by_class(held=False) for key, _ in places} == {0}
    assert {key[0] for places in found.by_class(held=True) for key, _ in places} == {1}


def test_what_is_only_for_testing_is_not_enough_to_learn_from():
    everything = (slice(0, 3), slice(0, 64), slice(0, 64))
    with pytest.raises(UserError, match=r"for testing only; paint .* elsewhere"):
        annotations((everything,)).require_trainable()
    lower = (slice(0, 3), slice(16, 64), slice(0, 64))  # all of the second class
    with pytest.raises(UserError, match=r"Only .* outside of what is for testing only"):
        annotations((lower,)).require_trainable()
    annotations((BOX,)).require_trainable()
