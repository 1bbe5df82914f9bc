"""What training has achieved is there again when a project is reopened."""

from __future__ import annotations

import json

from tests.engines import NoEngine

from napari_fcn.project import Project
from napari_fcn.workbench.session import Workbench


def test_the_curve_of_a_reopened_project(bench, tmp_path):
    book = bench.workbench
    bench.open_blobs()
    book.train()
    bench.until(lambda: bench.scored and book.status.step > 10, "steps and a score")
    book.stop()
    bench.until(lambda: bench.finished, "the end")
    folder, told = book.project.folder, book.past()
    assert told.losses
    assert told.scores == [(round(e.seconds, 2), e.score) for e in bench.scored]
    status = book.status
    book.create_project("another")
    assert not book.past().losses
    assert book.status.score is None
    assert book.status.step == 0
    book.close()
    again = Workbench(tmp_path / "home", NoEngine)
    again.open_project(folder)
    assert again.past() == told
    assert again.status.step == told.step
    assert 0 < told.step <= status.step
    assert again.status.score == bench.scored[-1].score
    again.close()
    project = Project.open(folder)
    project.history.write_text("{}\n[\n" + json.dumps({"seconds": "x"}) + "\n")
    said = []
    third = Workbench(tmp_path / "home", NoEngine)
    third.said.connect(said.append)
    third.open_project(folder)
    assert not third.past().losses
    assert len(said) == 1
    assert "damaged and not shown" in said[0]
    third.close()
