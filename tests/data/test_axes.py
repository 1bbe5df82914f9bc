from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.data.axes import Axes, default_axes, unit_name, validate_axes
from napari_fcn.errors import UserError

names = st.permutations("TCZYXQ").map("".join)


def test_defaults():
    axes = Axes.of("zyx")
    assert axes == Axes("ZYX", (1.0,) * 3, ("pixel",) * 3, (0.0,) * 3)
    assert len(axes) == 3


@given(names)
def test_every_axis_has_one_role(letters):
    axes = Axes.of(letters)
    for ndim in (2, 3):
        spatial = axes.spatial(ndim)
        assert "".join(letters[i] for i in spatial) == "ZYX"[-ndim:]
        roles = [*spatial, axes.channel, *axes.samples(ndim)]
        assert sorted(roles) == list(range(6))
    assert letters[axes.channel] == "C"


def test_z_counts_samples_in_2d_only():
    axes = Axes.of("TZYX")
    assert axes.samples(2) == (0, 1)
    assert axes.samples(3) == (0,)


def test_rgb_samples_are_channels():
    assert Axes.of("YXS").channel == 2
    assert Axes.of("CYXS").channel == 0
    assert Axes.of("YX").channel is None


@pytest.mark.parametrize("which", ["C", "c", 1])
def test_drop(which):
    axes = Axes.of("ZCYX", scale=(3, 1, 2, 2), translate=(1, 2, 3, 4))
    dropped = axes.drop(which)
    assert dropped.names == "ZYX"
    assert dropped.scale == (3, 2, 2)
    assert dropped.translate == (1, 3, 4)


@pytest.mark.parametrize("which", ["T", "", 4, -1])
def test_drop_needs_the_axis(which):
    with pytest.raises(UserError, match="no axis"):
        Axes.of("ZCYX").drop(which)


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("YYX",),
        ("Y1",),
        ("YX", (1,)),
        ("YX", (1, 0)),
        ("YX", (1, float("nan"))),
        ("YX", None, ("pixel",)),
        ("YX", None, None, (0, float("inf"))),
    ],
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(UserError):
        Axes.of(*arguments)


def test_missing_spatial_axis_says_what_to_do():
    with pytest.raises(UserError, match="--axes ZYX"):
        Axes.of("TYX").spatial(3)
    with pytest.raises(UserError, match="2 or 3"):
        Axes.of("TYX").spatial(1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 6), "YX"),
        ((1, 1), "YX"),
        ((5, 6, 7), "ZYX"),
        ((2, 5, 6, 7), "TZYX"),
        ((2, 2, 5, 6, 7), "TCZYX"),
        ((64, 64, 3), "YXS"),
        ((64, 64, 4), "YXS"),
        ((5, 64, 64, 3), "ZYXS"),
        ((64, 2, 3), "ZYX"),
        ((3, 64, 64), "ZYX"),
    ],
)
def test_guess(shape, expected):
    assert default_axes(shape) == expected


@pytest.mark.parametrize("shape", [(), (5,), (1,) * 7])
def test_no_guess(shape):
    with pytest.raises(UserError, match="guess"):
        default_axes(shape)


def test_validate():
    assert validate_axes("zyx", (1, 2, 3)) == "ZYX"
    with pytest.raises(UserError, match="one letter for each"):
        validate_axes("YX", (1, 2, 3))
    with pytest.raises(UserError, match="letter of its own"):
        validate_axes("YYX", (1, 2, 3))


@pytest.mark.parametrize(
    "spelling", ["µm", "μm", "um", "micron", "\\u00B5m", "Micron", "micrometer"]
)
def test_micrometers_have_many_spellings(spelling):
    assert unit_name(spelling) == "micrometer"


def test_units():
    assert unit_name(None) == "pixel"
    assert unit_name("furlong") == "furlong"
    assert Axes.of("YX", units="um").units == ("micrometer", "micrometer")
