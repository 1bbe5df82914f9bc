import numpy as np
import pytest
from benchmarks.strokes.annotator import careful_strokes, corrective_strokes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_fcn.data.samples import blobs


@pytest.fixture(scope="module")
def truth():
    _, truth = blobs(slices=1, size=192, seed=3)
    return np.minimum(truth[0], 2)


@settings(max_examples=10)
@given(share=st.floats(0.02, 0.05), seed=st.integers(0, 99))
def test_careful_strokes_hold_the_truth_and_cover_the_share(truth, share, seed):
    painted = careful_strokes(truth, share, np.random.default_rng(seed))
    where = painted > 0
    assert (painted[where] == truth[where]).all()
    assert set(np.unique(painted)) == {0, 1, 2}
    assert where.mean() == pytest.approx(share, rel=0.5, abs=0.005)


def test_careful_strokes_keep_off_the_borders_of_wide_objects(truth):
    painted = careful_strokes(truth, 0.02, np.random.default_rng(0))
    inner = ndimage.binary_erosion(truth == 1, border_value=1)
    assert (inner | (painted != 1)).mean() > 0.999


def test_thin_objects_are_painted_too():
    truth = np.ones((64, 64), np.uint8)
    truth[:, 30:32] = 2
    painted = careful_strokes(truth, 0.02, np.random.default_rng(0))
    assert (painted == 2).sum() > 10
    assert (truth[painted == 2] == 2).all()


def test_the_same_draw_twice_is_the_same(truth):
    first, second = (
        careful_strokes(truth, 0.01, np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_corrections_lie_where_the_prediction_is_most_wrong():
    truth = np.ones((96, 96), np.uint8)
    truth[10:40, 10:40] = 2  # missed, the larger error
    truth[60:70, 60:70] = 2  # missed, the smaller one
    blank = np.zeros_like(truth)
    painted = corrective_strokes(
        truth, np.ones_like(truth), blank, 1, np.random.default_rng(0)
    )
    assert (painted[10:40, 10:40] == 2).sum() == (painted > 0).sum() > 10


def test_corrections_keep_old_strokes_and_stop_when_all_is_right(truth):
    before = careful_strokes(truth, 0.005, np.random.default_rng(1))
    after = corrective_strokes(truth, truth, before, 5, np.random.default_rng(2))
    np.testing.assert_array_equal(after, before)
    wrong = np.where(truth == 1, 2, 1)
    after = corrective_strokes(truth, wrong, before, 5, np.random.default_rng(2))
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    assert (after > 0).sum() > (before > 0).sum()
    assert (after[after > 0] == truth[after > 0]).all()
