import json

import pytest
import torch
from benchmarks.report import Report, median_seconds
from benchmarks.training import Side, take_turns

from napari_fcn.engine.device import Compute


def test_a_report_is_kept_as_json_and_markdown(tmp_path):
    report = Report("Title", rows=[{"what": "a", "value": 1.0}], notes=["A note."])
    path = report.save(tmp_path / "results" / "name")
    text = path.read_text()
    assert "| a    | 1.000 |" in text
    assert "A note." in text
    kept = json.loads(path.with_suffix(".json").read_text())
    assert kept["rows"] == report.rows
    assert kept["machine"]["cores"] >= 1


def test_a_median_needs_three_measurements():
    assert median_seconds([3.0, 1.0, 2.0]) == 2.0
    with pytest.raises(ValueError, match="three"):
        median_seconds([1.0, 2.0])


def test_calls_take_turns_after_a_warm_up():
    order = []
    seconds = take_turns([lambda: order.append(0), lambda: order.append(1)], 3, 1)
    assert order == [0, 1] * 4
    assert len(seconds) == 2


def test_a_measured_step_really_trains():
    side = Side(Compute(torch.device("cpu")), torch.contiguous_format)
    step = side.training_step(2)
    losses = [step() for _ in range(4)]
    assert losses[-1] < losses[0]
