"""What all tests share."""

from __future__ import annotations

import os

# OpenMP's threads must not spin where others need the cores; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
