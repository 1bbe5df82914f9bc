import numpy as np
import pytest
from benchmarks.strokes import measure
from benchmarks.strokes.datasets import DATASETS, Dataset
from benchmarks.strokes.forest import PEERS, SCALES, ilastik_features
from benchmarks.strokes.settings import SETTINGS
from benchmarks.strokes.study import (
    ForestSide,
    Setting,
    correct,
    object_dice,
    predict_planes,
    train_on,
    view,
)

from napari_fcn.config import NetworkConfig
from napari_fcn.data.samples import blobs

SMALL = NetworkConfig(width=4, depth=1)


@pytest.fixture(scope="module")
def setting():
    image, truth = blobs(slices=4, size=96, seed=1)
    data = Dataset("blobs", [image], [np.minimum(truth, 2)], "ZYX")
    return Setting(data, 0.02, [(0, 0)], [(0, 1), (0, 3)])


def test_strokes_are_only_on_the_painted_planes(setting):
    labels = setting.draw(0)
    assert labels[0][0].any()
    assert not labels[0][1:].any()


def test_dice_is_pooled_over_tested_planes_only(setting):
    truth = setting.dataset.truths[0]
    assert object_dice(setting, {0: truth}) == 1
    other = truth.copy()
    other[[0, 2]] = 0
    assert object_dice(setting, {0: other}) == 1
    assert object_dice(setting, {0: np.zeros_like(truth)}) == 0


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_forest_tells_bright_cells_from_background(setting, peer):
    side = ForestSide(setting.dataset, peer)
    dice, seconds = side.score(setting, setting.draw(0), 0)
    assert dice > 0.8
    assert seconds > 0


@pytest.mark.parametrize("shape", [(20, 30), (8, 20, 30)])
def test_filters_are_those_of_each_scale_and_channel(shape):
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    found = ilastik_features(image)
    n_filters = 1 + len(SCALES) * (4 + 2 * len(shape))
    assert found.shape == (*shape, n_filters)
    assert np.isfinite(found).all()
    both = ilastik_features(np.stack([image, 0 * image], -1), colour=True)
    np.testing.assert_array_equal(both[..., :n_filters], found)


def test_a_ridge_has_one_large_curvature_across_it():
    image = np.zeros((21, 21), np.float32)
    image[10] = 1
    found = ilastik_features(image)[10, 10]
    *_, smooth, laplace, slope, _, _, _, high, low = found[: 1 + 8 * 2]
    assert smooth > 0
    assert slope == pytest.approx(0, abs=1e-6)
    assert laplace == pytest.approx(low, rel=0.1)
    assert abs(high) < 0.1 * abs(low)


def test_training_is_scored_at_each_mark(setting):
    rows = train_on(setting, setting.draw(0), (0.05, 0.3), 0, SMALL)
    assert [row["mark"] for row in rows] == [0.05, 0.3]
    assert rows[0]["step"] <= rows[1]["step"]
    assert all(0 <= row["dice"] <= 1 for row in rows)


def test_only_the_wanted_sections_are_predicted(setting):
    from benchmarks.strokes.study import CLASSES

    from napari_fcn.data.annotations import LabelledImage
    from napari_fcn.engine.train import Budget, train

    item = LabelledImage(setting.dataset.source(0), setting.draw(0)[0])
    model = train([item], CLASSES, network=SMALL, budget=Budget(steps=40))
    found = predict_planes(model, setting.dataset, [(0, 2)])[0]
    assert not found[[0, 1, 3]].any()
    assert found[2].any()


def test_corrections_are_painted_where_objects_were_missed(setting):
    labels = setting.draw(0)
    before = labels[0].copy()
    nothing = {0: np.zeros_like(setting.dataset.truths[0])}
    correct(setting, labels, nothing, 3, 0)
    added = (labels[0] > 0) & (before == 0)
    assert added[0].any()
    assert not added[1:].any()
    assert (view(labels, (0, 0))[added[0]] == 2).all()


def test_corrections_reach_the_run_but_not_the_strokes_given(setting):
    labels = setting.draw(0)
    before = labels[0].copy()
    rows = train_on(setting, labels, (0.05, 0.1), 0, SMALL, corrections=3)
    assert rows[1]["painted"] > rows[0]["painted"] == np.count_nonzero(before)
    np.testing.assert_array_equal(labels[0], before)


def test_the_forest_is_scored_in_each_round_of_corrections(setting):
    side = ForestSide(setting.dataset)
    found = side.rounds(setting, setting.draw(0), 0, 2, 3)
    assert len(found) == 2
    assert min(point["dice"] for point in found) > 0.8
    assert found[1]["painted"] >= found[0]["painted"] > 0


def test_a_report_has_a_row_with_and_one_without_corrections(setting):
    report = measure([setting], (0.05,), 1)
    assert [row["corrections"] > 0 for row in report.rows] == [False, True]
    assert [len(d["network"]) for d in report.details] == [1, 1]
    assert all({p.name for p in PEERS} <= set(row) for row in report.rows)
    assert all(row["worst draw"] == row["gain at last"] for row in report.rows)


@pytest.mark.parametrize("name", DATASETS)
def test_loaders_give_truth_of_the_images_shape(name):
    try:
        data = DATASETS[name]()
    except FileNotFoundError:
        pytest.skip("data not here")
    assert len(data.images) == len(data.truths) > 0
    for number, truth in enumerate(data.truths):
        assert data.source(number).label_shape == truth.shape
        assert set(np.unique(truth)) <= {1, 2}
    truth = data.plane_truth(data.planes[0])
    assert truth.ndim == 2


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_tested_that_was_painted(name):
    try:
        settings = list(SETTINGS[name]())
    except FileNotFoundError:
        pytest.skip("data not here")
    assert settings
    for setting in settings:
        assert not set(setting.painted) & set(setting.tested)
        assert set(setting.painted + setting.tested) <= set(setting.dataset.planes)
