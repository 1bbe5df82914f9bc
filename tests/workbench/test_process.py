"""How much of the computer the engine takes, and how it ends."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from napari_fcn.workbench import process
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


@pytest.fixture
def engine(monkeypatch):
    """An engine that has connected, and only begins to load what it needs."""
    monkeypatch.setattr(process, "_PATIENCE", 60)
    engine = EngineProcess(threads=1, nice=0)
    end = time.monotonic() + 60
    while engine._connection is None:
        assert time.monotonic() < end, "it does not connect"
        time.sleep(0.01)
    yield engine
    engine.close()


def test_an_engine_that_listens_is_asked_to_end(engine):
    end = time.monotonic() + 90
    while not list(engine.events()):
        assert time.monotonic() < end, "it does not get ready"
        time.sleep(0.01)
    engine.close()
    assert engine._process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_engine_that_still_loads_is_not_waited_for(engine):
    engine.close()
    # not SIGKILL, which comes when waiting was in vain, and not 0
    assert engine._process.returncode == -signal.SIGTERM
