from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.config import classes_from_values
from napari_fcn.data.annotations import Annotations, LabelledImage
from napari_fcn.data.axes import Axes
from napari_fcn.data.crops import BlockCache, CropSampler, fingerprint
from napari_fcn.data.normalisation import Normalisation
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

CLASSES = classes_from_values([1, 2, 3])


def numbered(shape):
    """An image in which every pixel has a value of its own."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def scaled(image):
    """A normalisation that brings an image to 0 .. 1, and its result."""
    gain = np.full(1, 1 / image.size, np.float32)
    normalisation = Normalisation(np.zeros(1, np.float32), gain)
    return normalisation, normalisation.apply(image[None])[0]


def sampler(*labels, names="YX", ndim=2, seed=0, held_out=0.0):
    """A sampler on numbered images with these labels."""
    sources, normalisations = [], []
    for array in labels:
        image = numbered(array.shape)
        sources.append(ImageSource(image, Axes.of(names), ndim))
        normalisations.append(scaled(image)[0])
    annotations = Annotations(
        [LabelledImage(s, a) for s, a in zip(sources, labels, strict=True)],
        CLASSES,
        held_out=held_out,
    )
    return CropSampler(annotations, BlockCache(sources, normalisations), seed)


def corner(crop, shape):
    """Where a crop of a numbered image begins."""
    first = round(float(crop.flat[0]) * np.prod(shape))
    return [int(i) for i in np.unravel_index(first, shape)]


def far_apart(shape=(300, 320)):
    """Strokes of three classes, very different in size, none near another."""
    labels = np.zeros(shape, np.uint8)
    labels[:100, :100] = 1
    labels[150:160, 10:20] = 2
    labels[290, 310] = 3
    return labels


# Drawing ------------------------------------------------------------------------------


def test_image_and_target_show_the_same_place():
    random = np.random.default_rng(0)
    labels = np.where(random.random((300, 320)) < 0.002, 1, 0).astype(np.uint8)
    labels[100:103] = 2
    draws = sampler(labels, held_out=0.3)
    annotations = draws._targets
    whole = annotations.target(0, (), (slice(0, 300), slice(0, 320)), held=False)
    assert ((whole < 0) & (labels > 0)).any()  # something is held out
    _, values = scaled(numbered(labels.shape))
    crops = draws.draw(40, (32, 48))
    assert crops.image.shape == (40, 1, 32, 48)
    assert crops.image.dtype == np.float32
    assert crops.target.shape == (40, 32, 48)
    assert crops.target.dtype == np.int64
    places = set()
    for image, target in zip(crops.image[:, 0], crops.target, strict=True):
        y, x = corner(image, labels.shape)
        box = (slice(y, y + 32), slice(x, x + 48))
        np.testing.assert_array_equal(image, values[box])
        np.testing.assert_array_equal(target, whole[box])
        assert (target >= 0).any()
        places.add((y, x))
    assert len(places) > 30


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_classes_take_turns(batch):
    draws = sampler(far_apart())
    seen = [
        np.unique(target[target >= 0]).tolist()
        for _ in range(6)
        for target in draws.draw(batch, (24, 24)).target
    ]
    assert seen == [[n % 3] for n in range(6 * batch)]


def test_a_class_without_paint_has_no_turn():
    labels = far_apart()
    labels[labels == 2] = 0
    targets = sampler(labels).draw(6, (24, 24)).target
    assert [t.max() for t in targets] == [0, 2, 0, 2, 0, 2]


def test_samples_with_few_strokes_are_not_forgotten():
    labels = np.zeros((2, 100, 100), np.uint8)
    labels[0] = 1
    labels[1, 50:60, 50:60] = 1  # a hundredth of the pixels
    crops = sampler(labels, names="TYX").draw(2000, (8, 8))
    second = crops.image.mean(axis=(1, 2, 3)) > 0.5
    # By the root of the pixels: one in eleven.
    assert 0.07 < second.mean() < 0.11


def test_crops_vary_around_the_stroke_and_always_hold_it():
    labels = np.zeros((300, 320), np.uint8)
    labels[150, 160] = 1
    crops = sampler(labels).draw(300, (30, 31))
    inside = np.argwhere(crops.target == 0)
    assert inside[:, 0].tolist() == list(range(300))
    # Away from the border of the crop, where the network sees too little around.
    assert inside[:, 1].min() >= 30 // 2 - 10
    assert inside[:, 1].max() <= 30 // 2 + 10
    assert len(np.unique(inside[:, 1])) == len(np.unique(inside[:, 2])) == 21


def test_strokes_at_the_border():
    for place in [(0, 0), (0, 319), (299, 0), (299, 319)]:
        labels = np.zeros((300, 320), np.uint8)
        labels[place] = 2
        crops = sampler(labels).draw(20, (64, 64))
        assert ((crops.target == 1).sum(axis=(1, 2)) == 1).all()


def test_equal_seeds_draw_the_same():
    labels = far_apart()
    one, again, other = (sampler(labels, seed=s) for s in (3, 3, 4))
    for _ in range(3):
        a, b, c = (s.draw(5, (20, 20)) for s in (one, again, other))
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.target, b.target)
        assert (a.image != c.image).any()
    assert (one.draw(5, (20, 20)).image != a.image).any()


def test_new_strokes_are_drawn_after_refresh():
    labels = far_apart()
    labels[labels == 3] = 0
    draws = sampler(labels)
    labels[200, 300] = 3
    draws._targets.refresh(0)
    assert draws.draw(6, (16, 16)).target.max() == 1
    draws.refresh()
    assert draws.draw(6, (16, 16)).target.max() == 2


def test_nothing_left_is_one_sentence():
    labels = far_apart()
    draws = sampler(labels)
    labels[...] = 0
    draws._targets.refresh(0)
    draws.refresh()
    with pytest.raises(UserError, match="paint a stroke of each class"):
        draws.draw(1, (16, 16))


def test_3d_and_images_of_several_sizes():
    large, small = np.zeros((20, 150, 140), np.uint8), np.zeros((3, 10, 12), np.uint8)
    large[18:, 140:, 5:9] = 1
    small[1, 4, 5] = 2
    crops = sampler(large, small, names="ZYX", ndim=3).draw(8, (6, 16, 16))
    assert crops.image.shape == (8, 1, 6, 16, 16)
    assert (crops.target[0::2].max(axis=(1, 2, 3)) == 0).all()
    assert (crops.target[1::2] == 1).sum(axis=(1, 2, 3)).tolist() == [1] * 4
    _, values = scaled(numbered(large.shape))
    z, y, x = corner(crops.image[0, 0], large.shape)
    box = (slice(z, z + 6), slice(y, y + 16), slice(x, x + 16))
    np.testing.assert_array_equal(crops.image[0, 0], values[box])


def test_channels_stay_apart():
    image = np.stack([np.full((40, 40), c, np.float32) for c in (1, 2, 3)], axis=-1)
    source = ImageSource(image, Axes.of("YXS"), 2)
    labels = np.ones((40, 40), np.uint8)
    annotations = Annotations([LabelledImage(source, labels)], CLASSES, held_out=0)
    shift = Normalisation(np.zeros(3, np.float32), np.array([1, 2, 3], np.float32))
    crops = CropSampler(annotations, BlockCache([source], [shift]), 0).draw(2, (8, 60))
    assert crops.image.shape == (2, 3, 8, 60)
    assert np.unique(crops.image[:, 2]).tolist() == [9]
    assert crops.image[0, :, 0, 0].tolist() == [1, 4, 9]


# Reading ------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    centre=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
)
@settings(max_examples=80)
def test_a_crop_lies_inside_or_is_extended(shape, crop, centre):
    labels = np.ones(shape, np.uint8)
    image, target = sampler(labels).read((0, ()), centre, crop, held=False)
    assert image.shape == (1, *crop)
    assert target.shape == crop
    _, values = scaled(numbered(shape))
    extra = [(0, max(0, c - n)) for c, n in zip(crop, shape, strict=True)]
    values = np.pad(values, extra, mode="reflect")
    y, x = corner(image[0], shape)
    box = (slice(y, y + crop[0]), slice(x, x + crop[1]))
    np.testing.assert_array_equal(image[0], values[box])
    painted = np.pad(labels.astype(int) - 1, extra, constant_values=-1)
    np.testing.assert_array_equal(target, painted[box])
    for start, middle, edge, size in zip((y, x), centre, crop, shape, strict=True):
        if edge <= size and edge // 2 <= middle <= size - edge + edge // 2:
            assert start == middle - edge // 2  # nothing kept it from the middle


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2)])
def test_tiny_images(shape):
    labels = np.zeros(shape, np.uint8)
    labels[0, 0] = 1
    crops = sampler(labels).draw(3, (16, 16))
    assert crops.image.shape == (3, 1, 16, 16)
    assert (crops.target >= 0).sum(axis=(1, 2)).tolist() == [1, 1, 1]


# The cache ----------------------------------------------------------------------------


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read = 0

    def __getitem__(self, key):
        self.read += 1
        return self.array[key]


BLOCK = 256 * 256 * 4  # bytes


def cached(shape=(2, 600, 700), most=1 << 30):
    data = Counted(numbered(shape))
    source = ImageSource(data, Axes.of("TYX"), 2)
    normalisation, values = scaled(data.array)
    return BlockCache([source], [normalisation], most), data, values


@given(st.data())
@settings(max_examples=30)
def test_regions_over_many_blocks(data):
    cache, _, values = cached(most=data.draw(st.sampled_from([0, 3 * BLOCK, 1 << 30])))
    for _ in range(2):
        sample = data.draw(st.integers(0, 1))
        region = tuple(
            slice(
                *sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2)))
            )
            for n in values.shape[1:]
        )
        block = cache.read((0, (sample,)), region)
        np.testing.assert_array_equal(block, values[sample][region][None])


def test_what_was_read_is_not_read_again():
    cache, data, _ = cached()
    everything = (slice(0, 600), slice(0, 700))
    cache.read((0, (0,)), everything)
    assert data.read == 9
    cache.read((0, (0,)), everything)
    assert data.read == 9
    cache.read((0, (1,)), (slice(300, 310), slice(0, 10)))
    assert data.read == 10


def test_the_least_recently_used_blocks_are_forgotten_first():
    cache, data, _ = cached(most=2 * BLOCK)
    tops = [(slice(0, 9), slice(256 * n, 256 * n + 9)) for n in range(2)]
    last = (slice(256, 260), slice(0, 9))
    for region in (*tops, tops[0], last):  # the last one takes the place of tops[1]
        cache.read((0, (0,)), region)
    assert data.read == 3
    cache.read((0, (0,)), tops[0])
    cache.read((0, (0,)), last)
    assert data.read == 3
    cache.read((0, (0,)), tops[1])
    assert data.read == 4


@pytest.mark.parametrize(
    ("shape", "crop"),
    [
        ((300, 320), (64, 64)),
        ((300, 320), (33, 47)),
        ((5, 7), (64, 64)),
        ((1, 1), (16, 16)),
        ((9, 40, 50), (8, 16, 16)),
    ],
)
def test_covering_crops_hold_every_painted_pixel_once(shape, crop):
    random = np.random.default_rng(3)
    labels = random.choice([0, 1, 2], shape, p=[0.96, 0.02, 0.02]).astype(np.uint8)
    labels.flat[0] = 1
    names = "ZYX"[-len(shape) :]
    cover = sampler(labels, names=names, ndim=len(shape)).cover(crop, 10**6)
    _, values = scaled(numbered(shape))
    places = {float(v): labels.flat[n] for n, v in enumerate(values.ravel())}
    seen = []
    for image, target in cover:
        assert image.shape == (1, *crop)
        for value, index in zip(
            image[0][target >= 0], target[target >= 0], strict=True
        ):
            assert places[float(value)] == index + 1
            seen.append(float(value))
    assert len(set(seen)) == len(seen) == np.count_nonzero(labels)


def test_where_too_many_crops_would_be_needed_the_classes_take_turns():
    labels = np.ones((300, 320), np.uint8)
    labels[0, 0] = 2
    found = [t for _, t in sampler(labels).cover((16, 16), 5)]
    assert len(found) == 5
    assert sum((t == 1).any() for t in found) == 1
    assert {len(list(sampler(labels).cover((16, 16), n))) for n in (1, 9)} == {1, 9}


def test_crops_anywhere_are_of_painted_samples_in_turn_and_leave_the_others_alone():
    labels = np.zeros((6, 64, 64), np.uint8)
    labels[1, 5:8, 5:8], labels[4, 50:60, 50:60] = 1, 2
    plain, looked = (sampler(labels, names="ZYX") for _ in range(2))
    found = list(looked.anywhere((16, 16), 8, seed=3))
    sections = [round(float(crop[0, 0, 0] * labels.size)) // 64**2 for crop in found]
    assert sorted(sections[:2]) == [1, 4]
    assert sections == sections[:2] * 4
    again = looked.anywhere((16, 16), 8, seed=3)
    assert all(map(np.array_equal, found, again))
    assert np.array_equal(looked.draw(3, (16, 16)).image, plain.draw(3, (16, 16)).image)


def test_an_image_no_larger_than_a_crop_is_seen_once():
    labels = np.zeros((20, 24), np.uint8)
    labels[3, 4] = 1
    assert [c.shape for c in sampler(labels).anywhere((32, 32), 5, seed=0)] == [
        (1, 32, 32)
    ]


def test_a_fingerprint_tells_whether_the_same_pixels_are_learned_from():
    labels = far_apart()
    moved, other_class = labels.copy(), labels.copy()
    moved[290, 310:312] = 0, 3
    other_class[290, 310] = 2

    def of(array):
        source = ImageSource(numbered(array.shape), Axes.of("YX"), 2)
        item = LabelledImage(source, array)
        return fingerprint(Annotations([item], CLASSES, held_out=0.0))

    assert of(labels) == of(labels.copy())
    assert len({of(labels), of(moved), of(other_class)}) == 3
