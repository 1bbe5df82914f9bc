"""What all tests share."""

from __future__ import annotations

import os

# OpenMP's threads must not spin where others need the cores; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Each of several processes has a core to itself.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
