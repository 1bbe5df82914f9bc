"""How much of the computer the engine takes."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from napari_fcn.workbench.process import EngineProcess, default_threads


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (8, 7)])
def test_a_core_is_left_to_the_window(monkeypatch, cores, threads):
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda _: set(range(cores)), raising=False
    )
    assert default_threads() == threads


@pytest.mark.skipif(not hasattr(os, "nice"), reason="needs niceness")
def test_the_engine_gives_way_to_the_window():
    mine = psutil.Process().nice()
    engine = EngineProcess(threads=1, nice=3)
    try:
        end = time.monotonic() + 60
        while psutil.Process(engine.pid).nice() != min(19, mine + 3):
            assert time.monotonic() < end, "it is as urgent as the window"
            time.sleep(0.05)
    finally:
        engine.close()
