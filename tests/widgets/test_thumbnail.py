"""Small pictures of images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.widgets.thumbnail import draw


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0, 1e30])
def test_pictures_of_values_that_are_no_intensities(value):
    assert draw(np.full((9, 9), value, np.float32), "YX").shape == (9, 9, 3)
    half = np.arange(81, dtype=np.float32).reshape(9, 9)
    half[:4] = value
    assert draw(half, "YX")[5:].std() > 0 or value == 1e30
