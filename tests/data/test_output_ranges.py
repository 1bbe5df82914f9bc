"""Units of targets: only what is trusted and learned from says what 0 and 1 are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import ClassInfo
from napari_fcn.data.annotations import Annotations
from napari_fcn.data.axes import Axes
from napari_fcn.data.output_ranges import measure_outputs
from napari_fcn.data.pairs import PairedImage
from napari_fcn.data.source import ImageSource
from napari_fcn.data.stacked import StackedImages
from napari_fcn.errors import UserError

TRUSTED = ClassInfo(value=1, name="trusted region")


def source(array, names="YX", ndim=2):
    return ImageSource(array, Axes.of(names), ndim, "stain")


def ranges(*items, held_out=0.0):
    annotations = Annotations(
        [item.trusted() for item in items], [TRUSTED], held_out=held_out
    )
    found = measure_outputs(items, annotations)
    return [(o.offset, o.offset + o.scale) for o in found]


def noise(low, high, shape=(128, 128)):
    return np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)


def pair(target, names="YX", regions=None, testing=()):
    image = source(np.zeros((128, 128), np.float32))
    return PairedImage(image, source(target, names), regions, testing)


def test_untrusted_pixels_do_not_set_the_units():
    target = noise(100, 300)
    target[:64, :64] = 60000
    regions = np.ones(target.shape, np.uint8)
    regions[:64, :64] = 0
    ((low, high),) = ranges(pair(target, regions=regions))
    assert (low, high) == pytest.approx((101, 299), abs=1)
    ((_, everywhere),) = ranges(pair(target))
    assert everywhere == pytest.approx(60000)


def test_a_small_trusted_area_sets_the_units():
    target = np.full((128, 128), 60000, np.float32)
    target[100:110, 3:13] = noise(100, 300, (10, 10))
    regions = (target < 60000).astype(np.uint8)
    ((low, high),) = ranges(pair(target, regions=regions))
    assert 100 <= low < 110
    assert 290 < high <= 300


def test_a_pixel_unknown_in_one_channel_counts_in_none():
    target = np.stack([noise(0, 10), noise(-5, 5)])
    target[0, :, :40] = 60000
    target[1, :, :40] = np.nan
    (first, second) = ranges(pair(target, "CYX"))
    assert first == pytest.approx((0, 10), abs=0.1)
    assert second == pytest.approx((-5, 5), abs=0.1)


def test_what_only_scores_does_not_set_the_units():
    target = noise(100, 300)
    target[:, 96:] = 60000
    item = pair(target, testing=(np.s_[0:128, 96:128],))
    ((_, high),) = ranges(item)
    assert high == pytest.approx(299, abs=1)
    only = pair(target, testing=(np.s_[0:128, 0:128],))
    with pytest.raises(UserError, match="for testing only; trust another region"):
        ranges(only)
    assert ranges(item, only) == ranges(item)


def test_trusted_pixels_without_numbers():
    with pytest.raises(UserError, match="stain holds no numbers where it is trusted"):
        ranges(pair(np.full((128, 128), np.nan, np.float32)))


def test_targets_in_several_files_are_measured_like_channels():
    parts = [noise(0, 10), noise(1000, 3000)]
    regions = np.ones((128, 128), np.uint8)
    regions[:, 64:] = 0
    parts[1][:, 64:] = 60000
    image = source(np.zeros((128, 128), np.float32))
    stacked = StackedImages([source(p) for p in parts])
    (first, second) = ranges(PairedImage(image, stacked, regions))
    assert first == pytest.approx((0, 10), abs=0.2)
    assert second == pytest.approx((1000, 3000), abs=30)


class _Counted:
    """A lazy target that counts what is read of it."""

    def __init__(self, shape):
        self.shape, self.dtype = shape, np.dtype(np.float32)
        self.most = self.read = 0

    def __getitem__(self, index):
        shape = tuple(
            len(range(*part.indices(n)))
            for part, n in zip(index, self.shape, strict=True)
            if isinstance(part, slice)
        )
        self.read += int(np.prod(shape))
        self.most = max(self.most, int(np.prod(shape)))
        return np.random.default_rng(self.read).uniform(3, 4, shape)


@pytest.mark.parametrize(
    ("shape", "names", "ndim"),
    [((4200, 16000), "YX", 2), ((300, 96, 96), "TYX", 2), ((80, 600, 600), "ZYX", 3)],
)
def test_large_targets_are_read_in_bounded_parts(shape, names, ndim):
    lazy = _Counted(shape)
    image = source(np.broadcast_to(np.float32(0), shape), names, ndim)
    ((low, high),) = ranges(PairedImage(image, source(lazy, names, ndim)))
    assert (low, high) == pytest.approx((3, 4), abs=0.01)
    assert lazy.most <= 512 * 512
    assert lazy.read <= 256 * 512 * 512
