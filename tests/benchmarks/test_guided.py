"""The benchmark of guided strokes, on generated images."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import guided
from benchmarks.strokes.datasets import Dataset

from napari_fcn.data.samples import blobs


def test_a_stroke_of_each_class_that_is_near(tmp_path):
    truth = np.ones((96, 96), np.uint8)
    truth[40:60, 40:60] = 2
    painted = np.zeros_like(truth)
    guided.paint_around(truth, painted, (38, 50), np.random.default_rng(0))
    assert set(np.unique(painted)) == {0, 1, 2}
    assert (painted[painted > 0] == truth[painted > 0]).all()
    far = np.zeros_like(truth)
    guided.paint_around(truth, far, (0, 0), np.random.default_rng(0))
    assert set(np.unique(far)) == {0, 1}


def test_one_stroke_of_what_lies_at_a_place():
    truth = np.ones((96, 96), np.uint8)
    truth[40:60, 40:60] = 2
    for place, value in (((38, 50), 1), ((50, 50), 2)):
        painted = np.zeros_like(truth)
        random = np.random.default_rng(0)
        guided.paint_around(truth, painted, place, random, every_class=False)
        assert set(np.unique(painted)) == {0, value}


def test_pixels_for_the_best_of_the_other_side():
    def curve(*dice):
        return [{"dice": d, "painted": 100.0 * n} for n, d in enumerate(dice)]

    assert guided._pixels_needed(
        curve(0, 0.4, 0.8), curve(0, 0.2, 0.4, 0.6)
    ) == pytest.approx(0.5)
    assert guided._pixels_needed(curve(0, 0.1), curve(0, 0.9)) == "-"
    falling = curve(0.5, 0.4, 0.6)
    assert guided._pixels_needed(falling[1:], falling[1:2]) == pytest.approx(1)


def test_sides_are_compared_draw_by_draw():
    def curve(*dice):
        return [{"dice": d, "painted": 1.0} for d in dice]

    random = [curve(0, 0.2, 0.4), curve(0, 0.6, 0.8)]
    better = [curve(0, 0.3, 0.5), curve(0, 0.9, 1.1)]
    over, last = guided._over_places, guided._at_last
    assert guided._ahead(better, random, over) == "+0.200 ± 0.100"
    assert guided._ahead(better[:1], random[:1], over) == "+0.100"
    assert guided._ahead(better[:1] * 2, random[:1] * 2, last) == "+0.100 ± 0.000"


def test_pieces_are_cut_alike():
    random = np.random.default_rng(0)
    stack = random.integers(0, 9, (6, 300, 280))
    data = Dataset("stack", [stack], [stack % 2], "ZYX")
    found = guided._odd_sections(data)
    assert len(found.planes) == 3
    np.testing.assert_array_equal(found.images[1], stack[3, -256:, -256:])
    sizes = [(256, 256), (300, 257), (256, 258)]
    images = [random.integers(0, 9, size) for size in sizes]
    data = Dataset("images", images, [i % 2 for i in images], "YX")
    found = guided._larger_images(data)
    assert [i.shape for i in found.images] == [(256, 256)] * 2
    for image, truth in zip(found.images, found.truths, strict=True):
        np.testing.assert_array_equal(image % 2, truth)


def test_both_sides_paint_and_learn(monkeypatch):
    monkeypatch.setattr(guided, "FIRST_STEPS", 2)
    monkeypatch.setattr(guided, "STEPS", 1)
    image, truth = blobs(slices=4, size=96, seed=1)
    truth = np.minimum(truth, 2)
    data = Dataset("blobs", list(image), list(truth), "YX")
    report = guided.measure([guided._split(data)], draws=[0], places=2)
    assert [row["side"] for row in report.rows] == ["random", "guided"] * 2
    assert [row["painted"] for row in report.rows[::2]] == list(guided.PEOPLE)
    assert report.rows[0]["pixels"] < report.rows[2]["pixels"]
    for detail in report.details:
        painted = [point["painted"] for point in detail["curve"]]
        assert len(painted) == 3
        assert painted[0] < painted[-1]
        assert [point["step"] for point in detail["curve"]] == [2, 3, 4]
    first = [d["curve"][0] for d in report.details]
    assert all(point == first[0] for point in first)  # all begin alike
