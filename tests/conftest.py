"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# OpenMP's threads must not spin where others need the cores; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Each of several processes has a core to itself.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy computer is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
