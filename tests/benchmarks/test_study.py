import numpy as np
import pytest
from benchmarks.strokes import measure
from benchmarks.strokes.datasets import DATASETS, Dataset
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


def test_the_forest_tells_bright_cells_from_background(setting):
    dice, seconds = ForestSide(setting.dataset).score(setting, setting.draw(0), 0)
    assert dice > 0.8
    assert seconds > 0


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


def test_corrections_add_to_the_painted_plane(setting):
    labels = setting.draw(0)
    nothing = {0: np.zeros_like(setting.dataset.truths[0])}
    better = correct(setting, labels, nothing, 3, 0)
    added = (better[0] > 0) & (labels[0] == 0)
    assert added[0].any()
    assert (view(better, (0, 0))[added[0]] == 2).all()


def test_a_report_has_a_row_for_each_setting(setting):
    report = measure([setting], (0.05,), 2)
    assert len(report.rows) == 1
    assert [d["draw"] for d in report.details] == [0, 1]
    assert report.rows[0]["worst draw"] <= report.rows[0]["gain at last"]


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
