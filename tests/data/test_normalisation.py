from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import IntensityRange, NormalisationConfig
from napari_fcn.data.axes import Axes
from napari_fcn.data.normalisation import Normalisation, common_range, measure
from napari_fcn.data.source import ImageSource
from napari_fcn.errors import UserError

CONFIG = NormalisationConfig(lower=1, upper=99)


def measured(data, names="YX", ndim=2, **kwargs):
    return measure(ImageSource(data, Axes.of(names), ndim), CONFIG, **kwargs)


def test_percentiles_become_zero_and_one():
    data = np.random.default_rng(0).normal(500, 50, (100, 90)).astype(np.float32)
    norm = measured(data)
    low, high = np.percentile(norm.apply(data[None]), [1, 99])
    assert low == pytest.approx(0, abs=1e-4)
    assert high == pytest.approx(1, abs=1e-4)


def test_every_channel_has_its_own():
    data = np.random.default_rng(0).random((2, 64, 64)) * [[[1]], [[1000]]]
    norm = measured(data, "CYX")
    assert norm.offset.shape == norm.gain.shape == (2,)
    assert norm.offset.dtype == norm.gain.dtype == np.float32
    assert norm.gain[0] == pytest.approx(1000 * norm.gain[1], rel=0.05)


def test_nan_and_infinities_do_not_count():
    rng = np.random.default_rng(0)
    data = rng.random((64, 64)).astype(np.float32)
    clean = measured(data)
    spoilt = data.copy()
    spoilt[::7, ::5] = np.nan
    spoilt[::9, ::4] = np.inf
    norm = measured(spoilt)
    assert norm.gain == pytest.approx(clean.gain, rel=0.05)
    result = norm.apply(spoilt[None])
    assert np.isfinite(result).all()
    assert (result[0][~np.isfinite(spoilt)] == 0).all()


@pytest.mark.parametrize("value", [0, 7, -3.5, 3e38, 1e-42])
def test_constant(value):
    data = np.full((8, 8), value, np.float32)
    norm = measured(data)
    assert norm.gain == 1
    assert (norm.apply(data[None]) == 0).all()


def test_nothing_finite():
    with pytest.raises(UserError, match="no numbers"):
        measured(np.full((8, 8), np.nan))
    data = np.random.default_rng(0).random((2, 8, 8))
    data[1] = np.inf
    norm = measured(data, "CYX")
    assert norm.offset[1] == 0
    assert norm.gain[1] == 1


def test_few_bright_spots_in_the_dark():
    data = np.zeros((100, 100), np.uint16)
    data[50, 50] = 1000
    assert measured(data).gain == pytest.approx(1e-3)


def test_outliers_are_clipped():
    norm = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))
    result = norm.apply(np.array([[1e30, -1e30, 3e38, 2]], np.float32))
    np.testing.assert_array_equal(result, [[10, -10, 10, 2]])


def test_a_pixel_does_not_depend_on_its_tile():
    data = np.random.default_rng(0).random((1, 50, 50)).astype(np.float32)
    norm = measured(data[0])
    whole = norm.apply(data)
    np.testing.assert_array_equal(norm.apply(data[:, 3:9, 4:11]), whole[:, 3:9, 4:11])


def test_the_input_stays_as_it_is():
    data = np.random.default_rng(0).random((1, 5, 5)).astype(np.float32)
    before = data.copy()
    measured(data[0]).apply(data)
    np.testing.assert_array_equal(data, before)


def test_a_subsample_is_close_and_repeatable():
    rng = np.random.default_rng(0)
    data = rng.gamma(2, 100, (40, 256, 256)).astype(np.uint16)
    full = measured(data, "ZYX", max_values=10**9)
    few = measured(data, "ZYX", max_values=100_000)
    assert few.gain == pytest.approx(full.gain, rel=0.05)
    assert few.gain == measured(data, "ZYX", max_values=100_000).gain


def test_the_subsample_sees_every_column():
    # stripes with the period of a naive stride must not be missed
    data = np.zeros((1024, 1024), np.float32)
    data[:, 1::2] = 1
    assert measured(data, max_values=262_144).gain == 1
    assert measured(data, max_values=262_144).offset == 0


class Huge:
    """A lazy image far larger than memory that counts what is read."""

    def __init__(self, shape):
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.read = 0

    def __getitem__(self, key):
        sizes = [s.stop - s.start for s in key if isinstance(s, slice)]
        self.read += int(np.prod(sizes))
        return np.random.default_rng(0).integers(0, 255, sizes, np.uint8)


@pytest.mark.parametrize(
    ("shape", "names", "ndim"),
    [
        ((10**5, 10**5, 10**5), "ZYX", 3),
        ((10**5, 10**5, 10**5), "ZYX", 2),
        ((10**9, 100), "YX", 2),
        ((10**12, 64, 64), "TYX", 2),
    ],
)
def test_huge_images_are_read_in_part_only(shape, names, ndim):
    data = Huge(shape)
    norm = measured(data, names, ndim)
    assert np.isfinite(norm.gain).all()
    assert data.read < 64 * 9 * 512 * 512 + 1


def sources(*images):
    return [ImageSource(image, Axes.of("YX"), 2) for image in images]


def dim_and_bright():
    random = np.random.default_rng(0)
    return [random.integers(0, top, (64, 64), np.uint16) for top in (100, 200)]


def test_images_taken_alike_share_one_range():
    dim, bright = sources(*dim_and_bright())
    common = common_range([dim, bright], CONFIG)
    assert common.dtype == "uint16"
    shared = CONFIG.model_copy(update={"common": common})
    one, other = measure(dim, shared), measure(bright, shared)
    assert one.offset == other.offset
    assert one.gain == other.gain
    together = np.concatenate(dim_and_bright())
    low, high = np.percentile(one.apply(together[None].astype(np.float32)), [1, 99])
    assert (low, high) == pytest.approx((0, 1), abs=0.02)


def test_an_empty_image_stays_empty_in_the_common_range():
    shared = CONFIG.model_copy(
        update={"common": common_range(sources(*dim_and_bright()), CONFIG)}
    )
    empty = np.random.default_rng(0).integers(0, 3, (64, 64), np.uint16)
    (source,) = sources(empty)
    assert measure(source, shared).apply(empty[None].astype(np.float32)).max() < 0.1
    assert measure(source, CONFIG).apply(empty[None].astype(np.float32)).max() > 0.9


def test_images_taken_otherwise_keep_their_own_range():
    dim, bright = dim_and_bright()
    assert common_range(sources(dim, bright * 10), CONFIG) is None
    assert common_range(sources(dim, dim.astype(np.float32)), CONFIG) is None
    assert common_range(sources(dim * 0), CONFIG) is None
    common = common_range(sources(dim, bright), CONFIG)
    shared = CONFIG.model_copy(update={"common": common})
    for image in (bright * 10, bright / 65535):
        (source,) = sources(image)
        assert measure(source, shared).gain == measure(source, CONFIG).gain


@pytest.mark.parametrize(
    ("low", "high"), [((1.0,), (1.0,)), ((), ()), ((0.0,), (1.0, 2.0))]
)
def test_a_range_is_a_range(low, high):
    with pytest.raises(ValueError, match="intensity"):
        IntensityRange(dtype="uint8", low=low, high=high)


ALIGNED = CONFIG.model_copy(update={"aligned": 0.15})


def sections(shifts, spread=50.0):
    """A stack of like sections, each brighter by so much."""
    rng = np.random.default_rng(0)
    texture = rng.normal(500, spread, (len(shifts), 80, 90))
    return (texture + np.array(shifts)[:, None, None]).astype(np.float32)


def medians(data, config, names="ZYX", ndim=2):
    source = ImageSource(data, Axes.of(names), ndim)
    norm = measure(source, config)
    samples = list(source.samples())
    return [
        float(np.median(norm.of(s).apply(source.read(s, source.whole()))))
        for s in samples
    ]


def test_sections_of_another_brightness_are_aligned():
    data = sections([0, 20, -25, 10, 0])
    assert np.ptp(medians(data, CONFIG)) > 0.1
    assert np.ptp(medians(data, ALIGNED)) < 0.01
    assert np.ptp(medians(data.transpose(1, 2, 0), ALIGNED, "YXZ")) < 0.01
    assert np.ptp(medians(data[:, None], ALIGNED, "TZYX", 3)) < 0.01


def test_a_section_is_moved_by_a_part_of_the_range_at_the_most():
    data = sections([0, 0, 1000, 0])  # bright all over: full, not only uneven
    before, after = medians(data, CONFIG), medians(data, ALIGNED)
    assert before[2] - after[2] == pytest.approx(0.15, abs=1e-3)
    assert after[:2] == pytest.approx(before[:2], abs=0.03)


def test_the_range_is_that_of_the_whole_image():
    data = sections([0, 10, 20])
    data[1] *= 0.1  # dark: its noise is not blown up
    source = ImageSource(data, Axes.of("ZYX"), 2)
    norm = measure(source, ALIGNED)
    assert (norm.of((1,)).gain == norm.gain).all()


def test_one_image_and_one_volume_are_as_they_were():
    data = sections([0, 20, -25])
    for names, ndim, of in (("ZYX", 3, data), ("YX", 2, data[0])):
        source = ImageSource(of, Axes.of(names), ndim)
        norm = measure(source, ALIGNED)
        assert norm.of(()) is norm
        assert norm.offset == measure(source, CONFIG).offset


def test_a_section_without_any_number_is_not_moved():
    data = sections([0, 20, -25])
    data[1] = np.nan
    source = ImageSource(data, Axes.of("ZYX"), 2)
    norm = measure(source, ALIGNED)
    assert (norm.of((1,)).offset == norm.offset).all()
    assert (norm.of((1,)).apply(source.read((1,), source.whole())) == 0).all()


def test_numbers_at_the_end_of_their_format_are_aligned_without_a_warning():
    data = sections([0, 0, 0]) * np.float32(4e35)
    data[1] *= -1
    norm = measure(ImageSource(data, Axes.of("ZYX"), 2), ALIGNED)
    assert np.isfinite([norm.of((z,)).offset for z in range(3)]).all()


def test_every_channel_is_moved_by_its_own():
    data = np.stack([sections([0, 20, -20]), sections([10, 0, 0])], axis=1)
    source = ImageSource(data, Axes.of("ZCYX"), 2)
    norm = measure(source, ALIGNED)
    planes = [norm.of(s).apply(source.read(s, source.whole())) for s in [(0,), (1,)]]
    first, second = (np.median(p, axis=(1, 2)) for p in planes)
    np.testing.assert_allclose(first, second, atol=0.01)


def test_a_huge_sample_is_measured_by_parts_of_it():
    class Counted:
        shape, dtype, read = (3, 20_000, 30_000), np.dtype(np.uint8), 0

        def __getitem__(self, index):
            found = np.broadcast_to(np.uint8(7), self.shape)[index]
            self.read += found.size
            return found

    array = Counted()
    norm = measure(ImageSource(array, Axes.of("ZYX"), 2), ALIGNED)
    array.read = 0
    norm.of((2,))
    norm.of((2,))
    assert 0 < array.read <= 9 * 512 * 512
