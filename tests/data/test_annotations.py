from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_fcn.config import ClassInfo, classes_from_values
from napari_fcn.data import annotations as module
from napari_fcn.data.annotations import (
    DENSE_CELL,
    PIECES_NEEDED,
    Annotations,
    LabelledImage,
    find_values,
    samples_in,
)
from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource
from napari_fcn.data.store import ChunkStore
from napari_fcn.errors import UserError

CLASSES = classes_from_values([1, 2, 3])


def source(shape, names="YX", ndim=2, name="image"):
    """An image that takes no memory; only its shape matters here."""
    return ImageSource(np.broadcast_to(np.uint8(0), shape), Axes.of(names), ndim, name)


def item(labels, names="YX", ndim=2, **options):
    return LabelledImage(source(labels.shape, names, ndim), labels, **options)


def annotate(labels, names="YX", ndim=2, *, dense=False, classes=CLASSES, **options):
    options.setdefault("held_out", 0.15)
    return Annotations([item(labels, names, ndim, dense=dense)], classes, **options)


def spots(shape=(96, 96), step=12, seed=0):
    """Many separate small strokes of classes 1 and 2 in turns."""
    labels = np.zeros(shape, np.uint8)
    random = np.random.default_rng(seed)
    for n, corner in enumerate(np.ndindex(*(s // step for s in shape))):
        box = tuple(slice(c * step, c * step + random.integers(1, 5)) for c in corner)
        labels[box] = 1 + (n + corner[0]) % 2
    return labels


def whole(annotations, number=0, sample=()):
    """Targets of a whole sample: what training may see, and what only scores."""
    region = annotations.images[number].image.whole()
    return (
        annotations.target(number, sample, region, held=False),
        annotations.target(number, sample, region, held=True),
    )


def status(annotations, sample=()):
    """Per pixel: -1 unpainted, else 2 * class + held."""
    train, held = whole(annotations, 0, sample)
    return np.maximum(2 * train, np.where(held >= 0, 2 * held + 1, -1)).clip(-1)


strokes = hnp.arrays(np.uint8, (14, 15), elements=st.sampled_from([0] * 9 + [1, 2, 9]))
volumes = hnp.arrays(np.uint8, (5, 6, 9), elements=st.sampled_from([0] * 20 + [1, 3]))
seeds = st.integers(0, 5)


# What training sees and what only scores ----------------------------------------------


@given(strokes | volumes, seeds, st.sampled_from([0, 0.15, 0.5]), st.booleans())
@settings(max_examples=80)
def test_every_painted_pixel_is_in_one_target(labels, seed, held_out, dense):
    ndim = labels.ndim
    annotations = annotate(
        labels, "ZYX"[-ndim:], ndim, dense=dense, held_out=held_out, seed=seed
    )
    train, held = whole(annotations)
    assert not ((train >= 0) & (held >= 0)).any()
    expected = np.where(labels < 4, labels.astype(int) - 1, -1)
    if dense:
        expected[labels == 0] = 0
    np.testing.assert_array_equal(np.maximum(train, held), expected)
    for target, secret in ((train, False), (held, True)):
        for index, places in enumerate(annotations.by_class(held=secret)):
            found = [c for key, c in places if key == (0, ())]
            wanted = np.argwhere(target == index)
            assert len(places) == len(found) == bool(len(wanted))
            if found:
                np.testing.assert_array_equal(found[0], wanted)
    counts = [int((expected == index).sum()) for index in range(3)]
    assert annotations.class_pixels() == counts


@given(st.data())
@settings(max_examples=60)
def test_the_target_of_a_region_is_part_of_the_whole(data):
    annotations = annotate(spots(), held_out=0.4)
    region = tuple(
        slice(*sorted(data.draw(st.sets(st.integers(0, 96), min_size=2, max_size=2))))
        for _ in range(2)
    )
    for held, target in enumerate(whole(annotations)):
        part = annotations.target(0, (), region, held=bool(held))
        np.testing.assert_array_equal(part, target[region])


@pytest.mark.parametrize("held_out", [0.1, 0.15, 0.3, 0.5])
def test_about_the_wanted_share_of_each_class_is_held_out(held_out):
    annotations = annotate(spots(), held_out=held_out)
    held = annotations.by_class(held=True)
    totals = annotations.class_pixels()
    for index in (0, 1):
        share = sum(len(c) for _, c in held[index]) / totals[index]
        assert held_out * 0.7 < share < held_out * 1.4
    assert annotations.unscored_classes() == []


def test_whole_pieces_are_held_out():
    labels = spots()
    annotations = annotate(labels)
    _, held = whole(annotations)
    number = 0
    for value in (1, 2):
        pieces, n = ndimage.label(labels == value, np.ones((3, 3)))
        shares = ndimage.mean(held == value - 1, pieces, range(1, n + 1))
        assert set(shares) == {0.0, 1.0}
        number += int(shares.sum())
    assert annotations.held_pieces == number


def test_half_of_the_pieces_and_the_largest_stay_for_training():
    labels = np.zeros((80, 200), np.uint8)
    labels[40:, :] = 1
    for n in range(10):
        labels[5:8, 20 * n : 20 * n + 3] = 1  # all of them less than the wanted share
    _, held = whole(annotate(labels))
    assert (held[40:] < 0).all()
    assert 1 <= (held[5, ::20] == 0).sum() <= 5


def test_equal_seeds_hold_out_the_same():
    labels = spots()
    first, again, other = (whole(annotate(labels, seed=s))[1] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("number", [1, PIECES_NEEDED - 1, PIECES_NEEDED])
def test_few_strokes_are_all_for_training(number):
    labels = np.zeros((20, 200), np.uint8)
    for n in range(number):
        labels[4:7, 20 * n : 20 * n + 3] = 1
    labels[12:] = 2
    annotations = annotate(labels)
    enough = number >= PIECES_NEEDED
    assert (whole(annotations)[1] == 0).any() == enough
    unscored = [c.value for c in annotations.unscored_classes()]
    assert unscored == ([2] if enough else [1, 2])


@pytest.mark.parametrize("dense", [False, True])
def test_holding_nothing_out(dense):
    annotations = annotate(spots(), held_out=0.0, dense=dense)
    assert (whole(annotations)[1] < 0).all()
    assert annotations.by_class(held=True) == [[], [], []]


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))
)
@settings(max_examples=80)
def test_cells_connect_as_in_ndimage(cells):
    numbers = np.flatnonzero(cells)
    if not len(numbers):
        return
    mine = module._Grid(4, cells.shape).connect(numbers)
    theirs = ndimage.label(cells, np.ones((3,) * cells.ndim))[0].ravel()[numbers]
    pairs = set(zip(mine.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == len(set(mine.tolist())) == len(set(theirs.tolist()))


# Painting on --------------------------------------------------------------------------


@given(strokes, strokes, seeds, st.sampled_from([0.2, 0.5]))
@settings(max_examples=60)
def test_what_is_held_out_stays_so_whatever_is_painted(before, after, seed, held_out):
    # Spread out, so that there are enough pieces.
    before, after = (np.kron(a, np.eye(8, dtype=np.uint8)) for a in (before, after))
    labels = before.copy()
    annotations = annotate(labels, held_out=held_out, seed=seed)
    old = status(annotations)
    labels[...] = after
    annotations.refresh(0)
    new = status(annotations)
    assert ((new >= 0) == np.isin(after, [1, 2, 3])).all()
    for index in range(3):
        seen = annotations.by_class(held=False)[index]
        kept = (before == after) & (after == index + 1)
        if seen and (old[kept] == 2 * index).any():  # else it had to be given up
            np.testing.assert_array_equal(old[kept], new[kept])


def test_a_stroke_that_joins_pieces_is_for_training():
    labels = spots()
    annotations = annotate(labels)
    old = status(annotations)
    labels[0:96:12, :] = 1  # through all strokes of every row
    annotations.refresh(0, [()])
    new = status(annotations)
    untouched = (old >= 0) & (np.where(old < 0, 0, old // 2 + 1) == labels)
    np.testing.assert_array_equal(new[untouched], old[untouched])
    added = (labels == 1) & (old < 0)
    assert (new[added] == 0).mean() > 0.8  # all but those in cells held out before
    assert (new[untouched] == 1).any()


def test_a_held_out_stroke_erased_in_part_stays_held_out():
    labels = spots()
    annotations = annotate(labels, held_out=0.3)
    _, held = whole(annotations)
    for y, x in np.argwhere(held >= 0):
        if not (held[y, :x] >= 0)[-4:].any():  # where the stroke begins
            labels[y, x] = 0
    annotations.refresh(0)
    train, left = whole(annotations)
    rest = (held >= 0) & (labels > 0)
    assert rest.any()
    np.testing.assert_array_equal(left[rest], held[rest])
    assert (train[rest] < 0).all()


def test_a_held_out_stroke_painted_in_another_class_is_learned():
    labels = spots()
    annotations = annotate(labels)
    _, held = whole(annotations)
    wrong = held == 0
    labels[wrong] = 3
    annotations.refresh(0, [()])
    train, _ = whole(annotations)
    assert wrong.any()
    assert (train[wrong] == 2).all()


def test_new_strokes_in_new_samples_are_for_training():
    labels = np.zeros((3, 96, 96), np.uint8)
    labels[1] = spots()
    annotations = annotate(labels, "TYX")
    labels[2] = spots(seed=1)
    old = status(annotations, (1,))
    annotations.refresh(0, [(2,)])
    np.testing.assert_array_equal(status(annotations, (1,)), old)
    train, held = whole(annotations, 0, (2,))
    assert (held < 0).all()
    np.testing.assert_array_equal(train, labels[2].astype(int) - 1)
    keys = [key for key, _ in annotations.by_class(held=False)[0]]
    assert keys == [(0, (1,)), (0, (2,))]


def test_before_refresh_new_strokes_are_in_one_target_too():
    labels = spots()
    annotations = annotate(labels)
    labels[40:50, 3:60] = 3
    labels[60:64, 3:60] = 1
    train, held = whole(annotations)
    np.testing.assert_array_equal(np.maximum(train, held), labels.astype(int) - 1)
    assert not ((train >= 0) & (held >= 0)).any()
    assert (held[labels == 3] < 0).all()


def test_erasing_removes():
    labels = spots()
    annotations = annotate(labels)
    labels[labels == 2] = 0
    annotations.refresh(0)
    assert annotations.class_pixels() == [int((labels == 1).sum()), 0, 0]
    assert annotations.by_class(held=True)[1] == []
    assert annotations.by_class(held=False)[1] == []
    assert [c.value for c in annotations.missing_classes()] == [2, 3]
    with pytest.raises(UserError, match="Only 'background' is painted"):
        annotations.require_trainable()
    labels[...] = 0
    annotations.refresh(0)
    with pytest.raises(UserError, match="Nothing is painted"):
        annotations.require_trainable()


def test_erasing_all_but_what_was_held_out_gives_it_to_training():
    labels = spots()
    annotations = annotate(labels)
    train, held = whole(annotations)
    labels[train == 0] = 0
    annotations.refresh(0)
    train, still = whole(annotations)
    np.testing.assert_array_equal(train == 0, held == 0)
    assert (train == 0).any()
    np.testing.assert_array_equal(still == 1, held == 1)
    assert [c.value for c in annotations.unscored_classes()] == [1]
    assert annotations.held_pieces == ndimage.label(held == 1, np.ones((3, 3)))[1]


def test_classes_that_nobody_painted_are_named():
    labels = np.zeros((20, 20), np.uint8)
    labels[2:5, 2:5] = 2
    names = [
        ClassInfo(value=v, name=n) for v, n in enumerate(("sky", "cell", "rim"), 1)
    ]
    annotations = annotate(labels, classes=names)
    with pytest.raises(UserError, match=r"Only 'cell'.* paint .* of 'sky' or 'rim'"):
        annotations.require_trainable()
    with pytest.raises(UserError, match=r"paint .* of another class"):
        annotate(labels, classes=names[1:2]).require_trainable()
    labels[10:15, 10:15] = 1
    annotations.refresh(0)
    annotations.require_trainable()
    assert [c.name for c in annotations.missing_classes()] == ["rim"]


@pytest.mark.parametrize("classes", [(), CLASSES])
def test_nothing_painted(classes):
    annotations = annotate(np.zeros((1, 1), np.uint8), classes=classes)
    assert annotations.class_pixels() == [0] * len(classes)
    assert whole(annotations)[0].tolist() == [[-1]]
    with pytest.raises(UserError, match="Nothing is painted yet; paint a stroke"):
        annotations.require_trainable()


# Dense masks --------------------------------------------------------------------------


def test_dense_zero_is_the_background():
    labels = np.zeros((200, 300), np.uint8)
    labels[50:150, 50:250] = 2
    annotations = annotate(labels, dense=True, held_out=0.25)
    train, held = whole(annotations)
    np.testing.assert_array_equal(np.maximum(train, held), (labels == 2) * 1)
    # In blocks, since a dense mask has no strokes.
    corners = (held >= 0)[::DENSE_CELL, ::DENSE_CELL]
    assert 0 < corners.sum() < corners.size / 2
    assert [c.value for c in annotations.unscored_classes()] == []
    assert [c.value for c in annotations.missing_classes()] == [3]


@pytest.mark.parametrize("background", [0, None])
def test_dense_zero_can_be_a_class_of_its_own(background):
    labels = np.array([[0, 7, 9]], np.uint8)
    classes = classes_from_values([7, 0], background=background)
    train, _ = whole(annotate(labels, dense=True, classes=classes))
    assert train.tolist() == [[0, 1, -1]]


def test_zero_is_never_a_stroke():
    labels = np.array([[0, 7]], np.uint8)
    for background in (0, None):
        classes = classes_from_values([0, 7], background=background)
        assert whole(annotate(labels, classes=classes))[0].tolist() == [[-1, 1]]


def test_strokes_and_dense_masks_of_one_set_of_classes():
    labels = np.array([[0, 1, 2]], np.uint8)
    pair = [item(labels), item(labels, dense=True)]
    annotations = Annotations(pair, CLASSES, held_out=0.15)
    assert whole(annotations, 0)[0].tolist() == [[-1, 0, 1]]
    assert whole(annotations, 1)[0].tolist() == [[0, 0, 1]]
    assert annotations.class_pixels() == [3, 2, 0]


# Types, axes, stores ------------------------------------------------------------------


INTEGERS = ["i1", "u1", "i2", "u2", ">u2", "i4", "u4", "i8", "u8", ">i8"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_any_integer_type(dtype):
    limits = np.iinfo(dtype)
    labels = np.array([[0, 1, 2, 77, limits.min, limits.max]], dtype)
    assert whole(annotate(labels))[0].tolist() == [[-1, 0, 1, -1, -1, -1]]
    dense, _ = whole(annotate(labels, dense=True))
    lowest = 0 if limits.min == 0 else -1
    assert dense.tolist() == [[0, 0, 1, -1, lowest, -1]]


def test_masks_of_true_and_false():
    labels = np.array([[False, True]])
    assert whole(annotate(labels))[0].tolist() == [[-1, 0]]
    classes = classes_from_values([0, 1], background=0)
    assert whole(annotate(labels, dense=True, classes=classes))[0].tolist() == [[0, 1]]


def test_large_numbers_are_classes():
    labels = np.array([[0, 70_000, 2**62]], np.int64)
    classes = classes_from_values([70_000, 2**62])
    assert whole(annotate(labels, classes=classes))[0].tolist() == [[-1, 0, 1]]


@given(
    st.permutations("TZCYX").map("".join) | st.permutations("TZYXS").map("".join),
    st.sampled_from([2, 3]),
)
@settings(max_examples=40)
def test_axes_in_any_order(letters, ndim):
    sizes = {"T": 2, "Z": 5, "C": 2, "S": 3, "Y": 30, "X": 33}
    reference = np.random.default_rng(0).integers(0, 3, (2, 5, 30, 33), np.uint8)
    reference *= (np.indices(reference.shape)[2:] % 9 < 2).all(axis=0)
    reference[:, :, 9:18] = np.minimum(reference[:, :, 9:18], 1)
    image = source([sizes[a] for a in letters], letters, ndim)
    names = image.label_axes.names
    labels = reference.transpose(["TZYX".index(a) for a in names])
    annotations = Annotations(
        [LabelledImage(image, labels)], CLASSES, held_out=0.3, seed=1
    )
    samples = [a for a in names if a in "TZYX"[:-ndim]]
    for sample in image.samples():
        at = dict(zip(samples, sample, strict=True))
        expected = reference[tuple(at[a] for a in "TZ"[: 4 - ndim])].astype(int) - 1
        train, held = whole(annotations, 0, sample)
        np.testing.assert_array_equal(np.maximum(train, held), expected)
    assert annotations.class_pixels()[:2] == [(reference == v).sum() for v in (1, 2)]
    assert annotations.unscored_classes() == []


@pytest.mark.parametrize(("names", "ndim"), [("TYX", 2), ("YXT", 2), ("ZYX", 3)])
def test_a_store_gives_the_same_as_an_array(tmp_path, names, ndim):
    labels = np.zeros((7, 90, 70), np.uint8)
    labels[2] = spots((90, 70))
    labels[5] = spots((90, 70), seed=1)
    if names == "YXT":
        labels = np.moveaxis(labels, 0, -1)
    array = zarr.create_array(
        str(tmp_path), shape=labels.shape, chunks=(3, 40, 30), dtype="u1", fill_value=0
    )
    store = ChunkStore(array)
    store[...] = labels
    one, other = (annotate(a, names, ndim, held_out=0.3) for a in (labels, store))
    for _ in range(2):
        for sample in one.images[0].image.samples():
            for a, b in zip(
                whole(one, 0, sample), whole(other, 0, sample), strict=True
            ):
                np.testing.assert_array_equal(a, b)
        assert one.class_pixels() == other.class_pixels()
        for held in (False, True):
            pairs = zip(one.by_class(held=held), other.by_class(held=held), strict=True)
            for a, b in pairs:
                found = [
                    {(key, *map(int, c)) for key, cs in places for c in cs}
                    for places in (a, b)
                ]
                assert found[0] == found[1]
        at = (slice(0, 1), slice(50, 66), slice(3, 5))
        labels[at] = store[at] = 1  # and once more, with another stroke
        one.refresh(0)
        other.refresh(0)


def test_only_painted_samples_of_a_store_are_read(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (9, 40, 40), np.uint8)
    store[3, 5:9, 5:9] = 1
    labelled = item(store, "TYX")
    assert labelled.painted_samples() == [(3,)]
    assert labelled.painted_blocks() == {(3,): [(slice(0, 40), slice(0, 40))]}
    assert item(store, "TYX", dense=True).painted_samples() == [(n,) for n in range(9)]
    assert item(np.zeros((2, 4, 4), int), "TYX").painted_samples() == [(0,), (1,)]
    annotations = Annotations([labelled], CLASSES, held_out=0.15)
    store[7, 0, 0] = 2
    annotations.refresh(0)
    assert annotations.class_pixels() == [16, 1, 0]


def test_a_sample_erased_on_disk_is_forgotten(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (2, 40, 40), np.uint8)
    store[1] = spots((40, 40))
    annotations = annotate(store, "TYX")
    store[1] = 0
    store.flush()
    # Chunks of nothing but zero have no file, so that nothing tells of this sample.
    again = item(ChunkStore.open(tmp_path / "labels"), "TYX")
    assert again.painted_samples() == []
    annotations.images[0] = again
    annotations.refresh(0)
    assert annotations.class_pixels() == [0, 0, 0]


def test_samples_of_a_region():
    image = source((4, 5, 6, 7), "TYXZ")
    region = (slice(1, 3), slice(0, 2), slice(0, 6), slice(5, 7))
    assert samples_in(image, region) == [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert samples_in(source((5, 6)), (slice(0, 1), slice(0, 1))) == [()]


def test_values_that_count_as_classes(tmp_path):
    labels = np.array([[0, 3, 200]], np.uint8)
    store = ChunkStore.create(tmp_path / "labels", (2, 1, 3), np.uint8)
    store[1] = labels
    assert find_values([]) == set()
    assert find_values([item(labels)]) == {3, 200}
    assert find_values([item(labels, dense=True)]) == {0, 3, 200}
    assert find_values([item(store, "TYX"), item(labels == 3)]) == {1, 3, 200}
    assert all(type(v) is int for v in find_values([item(labels)]))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (
            np.zeros((4, 6), np.uint8),
            r"labels of stack.* need|needs .*choose the labels",
        ),
        (np.zeros((4, 5), np.float32), "labels of stack .* save them as whole numbers"),
    ],
)
def test_labels_that_do_not_fit(labels, match):
    with pytest.raises(UserError, match=match):
        LabelledImage(source((4, 5), name="stack"), labels)


# Large --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3, 5000, 1000), (2, 9, 4)])
def test_slabs_cover_a_sample_once(shape):
    covered = np.zeros(shape, np.uint8)
    for slab in module._slabs(shape):
        covered[slab] += 1
        assert covered[slab].size <= max(module._BLOCK_PIXELS, covered[0].size)
    assert (covered == 1).all()


def test_very_many_pixels_are_thinned_evenly():
    # More than one slab, so that thinning has to be fair between them.
    labels = np.zeros((2200, 2000), np.uint8)
    labels[:, :1000] = 1
    labels[2100:2103, 1500:1503] = 2
    (regions,) = item(labels).painted_blocks().values()
    assert len(regions) == 2
    annotations = annotate(labels)
    first, second, _ = annotations.by_class(held=False)
    ((_, kept),) = first
    assert len(kept) == len(np.unique(kept, axis=0)) == 20_000
    assert (labels[tuple(kept.T)] == 1).all()
    border = regions[0][0].stop
    assert abs((kept[:, 0] < border).mean() - border / 2200) < 0.01
    assert abs((kept[:, 1] < 300).mean() - 0.3) < 0.02
    np.testing.assert_array_equal(second[0][1], np.argwhere(labels == 2))
    assert annotations.class_pixels() == [2_200_000, 9, 0]
    again = annotate(labels).by_class(held=False)[0][0][1]
    np.testing.assert_array_equal(kept, again)


def test_pixels_that_are_for_testing_only_can_be_left_out_of_the_number():
    few, many = np.zeros((64, 64), np.uint8), np.zeros((400, 400), np.uint8)
    few[:8, :8], few[40:50, 40:50] = 1, 2
    many[:, :300] = 1  # more than are kept
    few_item = item(few, testing=((slice(32, 64), slice(0, 64)),))
    many_item = item(many, testing=((slice(0, 100), slice(0, 400)),))
    annotations = Annotations([few_item], CLASSES, held_out=0)
    assert annotations.class_pixels() == [64, 100, 0]
    assert annotations.class_pixels(testing=False) == [64, 0, 0]
    annotations = Annotations([many_item], CLASSES, held_out=0)
    assert annotations.class_pixels() == [120_000, 0, 0]
    left, *none = annotations.class_pixels(testing=False)
    assert left == pytest.approx(90_000, rel=0.02)
    assert none == [0, 0]


def test_a_stroke_across_slabs_is_one_piece():
    labels = np.zeros((2200, 2000), np.uint8)
    border = module._slabs(labels.shape)[0][0].stop
    for n in range(8):
        labels[border - 3 : border + 3, 100 * n : 100 * n + 3] = 1
    annotations = annotate(labels)
    region = (slice(border - 3, border + 3), slice(0, 800))
    held = annotations.target(0, (), region, held=True)[:, ::100] == 0
    assert held.any()
    assert (held.all(axis=0) | ~held.any(axis=0)).all()


def test_strokes_in_a_huge_volume_take_little_memory(tmp_path):
    store = ChunkStore.create(tmp_path / "labels", (256, 8192, 8192), np.uint8)
    for n in range(8):
        store[20 * n : 20 * n + 2, 1000 * n : 1000 * n + 3, 4095:4099] = 1
    labelled = item(store, "ZYX", 3)
    tracemalloc.start()
    try:
        annotations = Annotations([labelled], CLASSES, held_out=0.15)
        annotations.refresh(0)
        assert find_values([labelled]) == {1}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert annotations.class_pixels() == [8 * 2 * 3 * 4, 0, 0]
    assert len(annotations.by_class(held=True)[0][0][1]) == 2 * 3 * 4
    assert peak < 64 << 20
