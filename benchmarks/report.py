"""What a benchmark found: a table, with the machine and the settings beside it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """Describe this machine in neutral words, with its load just now."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": capability,
        "bf16_instructions": bool(torch.cpu._is_avx512_bf16_supported()),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "gpu": torch.cuda.is_available(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_before": load(),
    }


def load() -> float:
    """Return how many processes wanted to run in the last minute; -1 if unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0


@dataclass
class Report:
    """A table of results.

    Attributes
    ----------
    title : str
        What was measured.
    settings : dict
        With what.
    rows : list of dict
        The table; all rows have the same keys.
    notes : list of str
        What a reader should know.
    details : list of dict
        Single measurements, kept in the JSON file only.
    machine : dict
        Where, measured when the report is made: make it before measuring.
    """

    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: list[Row] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def as_text(self) -> str:
        """Return a Markdown table with title, machine, settings and notes."""
        parts = [f"# {self.title}", _line(self.machine)]
        if self.settings:
            parts.append(_line(self.settings))
        parts.append(table(self.rows))
        parts += self.notes
        return "\n\n".join(parts) + "\n"

    def save(self, stem: Path) -> Path:
        """Write ``stem``.json and ``stem``.md; returns the latter."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(asdict(self), indent=1, default=str)
        stem.with_suffix(".json").write_text(content + "\n")
        markdown = stem.with_suffix(".md")
        markdown.write_text(self.as_text())
        return markdown


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table, padded to be read as plain text, too."""
    if not rows:
        return "(nothing measured)"
    lines = [list(rows[0]), *([_cell(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * w for w in widths])
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def median_seconds(samples: list[float]) -> float:
    """Return the median, refusing fewer than three samples."""
    if len(samples) < 3:
        raise ValueError("a median of fewer than three measurements says little")
    return statistics.median(samples)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _line(values: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items())
