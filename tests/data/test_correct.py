"""Pieces and areas of a prediction taken over into the labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.data.correct import area_of, connected_piece, fill, fill_unpainted
from napari_fcn.data.store import ChunkStore
from napari_fcn.data.strokes import StrokeStore
from napari_fcn.errors import UserError

PREDICTED = np.array([[2, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 3], [2, 0, 3, 3]], np.uint8)


@pytest.fixture
def store(tmp_path):
    array = ChunkStore.create(tmp_path / "x.zarr", (3, 4, 4), "uint8").array
    return StrokeStore(array, tmp_path / "x.strokes")


def test_a_piece_is_what_touches():
    piece = connected_piece(PREDICTED, (0, 0))
    assert np.argwhere(piece).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert connected_piece(PREDICTED, (3, 0)).sum() == 1
    assert (PREDICTED[connected_piece(PREDICTED, (0, 3))] == 0).all()
    for outside in ((-1, 0), (4, 0), (0, 4)):
        with pytest.raises(UserError, match="Click on the image"):
            connected_piece(PREDICTED, outside)


def test_a_wrong_spot_takes_one_click_and_one_undo(store):
    store[1, 0, 0] = 3
    plane = (1, slice(None), slice(None))
    assert fill(store, plane, connected_piece(PREDICTED, (0, 0)), 1) == 3
    assert store[1, 0].tolist() == [1, 1, 0, 0]
    store.undo()
    assert store[1, 0].tolist() == [3, 0, 0, 0]
    assert not store[0].any()


def test_what_is_painted_stays_where_the_prediction_is_taken_over(store):
    store[1, 0, 0] = 3
    plane = (1, slice(None), slice(None))
    mask = np.ones((4, 4), bool)
    mask[3] = False
    assert fill_unpainted(store, plane, mask, PREDICTED) == 3
    assert store[1].tolist() == [[3, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 3], [0] * 4]
    assert fill_unpainted(store, plane, mask, 1) == 8
    assert fill_unpainted(store, plane, mask, 1) == 0
    for _ in range(2):
        store.undo()
    assert (store[1] > 0).sum() == 1


@pytest.mark.parametrize(
    ("kind", "corners", "pixels"),
    [
        ("rectangle", [[1, 1], [1, 3], [2, 3], [2, 1]], 6),
        ("polygon", [[0, 0], [0, 3], [3, 0]], 10),
        ("ellipse", [[0, 0], [0, 8], [8, 8], [8, 0]], 45),
        ("polygon", [[-5, -5], [-5, 20], [20, 20], [20, -5]], 100),
        ("polygon", [[30, 30], [30, 40], [40, 40]], 0),
    ],
)
def test_areas(kind, corners, pixels):
    mask = area_of(kind, np.array(corners, float), (10, 10))
    assert mask.shape == (10, 10)
    assert mask.sum() == pixels
