from __future__ import annotations

import math

import pytest

from napari_fcn.engine.schedule import (
    averaging_rate,
    learning_rate_factor,
    settling_factor,
)


def averaged(values, changed=None):
    """Return the moving average of values that begins at 0.

    The annotation changed before the first step, and again at the step `changed`.
    """
    average = 0.0
    for step, value in enumerate(values):
        since = None if changed is None else step - (changed if step >= changed else 0)
        average += averaging_rate(step, since) * (value - average)
    return average


def test_an_untrained_start_is_forgotten_at_once():
    assert averaged([1.0] * 7) == pytest.approx(1)
    assert averaging_rate(700) == 1 / 100
    assert averaging_rate(10_000) == 1 / 200


def test_what_was_known_stays_a_part_of_the_path():
    """It is the mean of all steps, in which the start counts as forty."""
    path = [float(n) for n in range(100)]
    assert averaged(path, changed=0) == pytest.approx(sum(path) / (39 + 100), rel=0.02)
    assert averaging_rate(1000, 1000) == 1 / 200


def test_new_strokes_are_followed_at_once():
    path = [0.0] * 160 + [1.0] * 40
    assert averaged(path, changed=0) < 0.25
    assert averaged(path, changed=160) > 0.45


def test_what_knows_something_warms_up_for_longer_and_then_learns_fast():
    gentle = [learning_rate_factor(step, None, gentle=True) for step in range(60)]
    usual = [learning_rate_factor(step, None) for step in range(60)]
    assert gentle[0] == usual[0] / 4
    assert all(g < u for g, u in zip(gentle[:37], usual[:37], strict=True))
    assert set(gentle[39:]) == {1.0}


def test_a_later_optimiser_warms_up_from_where_it_begins():
    late = learning_rate_factor(200, None, begun=200)
    assert late == pytest.approx(learning_rate_factor(200, None) / 10)
    assert learning_rate_factor(240, None, begun=200) == learning_rate_factor(240, None)


def test_a_few_strokes_are_soon_learned_and_new_ones_at_the_full_rate():
    assert settling_factor(0) == 1
    assert settling_factor(50) == pytest.approx(math.exp(-1))
    assert settling_factor(10_000) == 0.02


def test_what_settles_learns_late_strokes_at_the_full_rate():
    assert learning_rate_factor(40_000, None, gentle=True) == 1
    assert learning_rate_factor(40_000, None) < 0.1
