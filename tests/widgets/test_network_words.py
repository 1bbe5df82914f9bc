"""What the Network dock says."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_fcn.config import NetworkConfig
from napari_fcn.widgets.network_words import facts_text, field_text, frame_text
from napari_fcn.workbench.questions import (
    Described,
    FieldSeen,
    FrameTried,
    SeeField,
    TryFrame,
)

NETWORK = NetworkConfig()
HERE = Path()


def test_facts_in_pixels_and_in_units():
    answer = Described(NETWORK, 1234567, (51, 51), (51, 51), (8, 8))
    assert facts_text(answer) == (
        "1,234,567 weights. Around each pixel it sees 103 × 103 pixels; total stride 8."
    )
    assert "(51.5 × 51.5 µm)" in facts_text(answer, 0.5, "µm")
    flat = Described(NETWORK, 1, (1, 2, 2), (1, 2, 2), (2, 4, 4))
    assert facts_text(flat).endswith("3 × 5 × 5 pixels; total stride 2 × 4.")
    assert facts_text(Described(NETWORK, error="No.")) == "No."


def test_heat_map():
    question = SeeField(HERE, None, (), (1, 2), NETWORK, HERE)
    text = field_text(FieldSeen(question, (0, 0), 7.6, trained=True))
    assert text.endswith("a box of 8 × 8 pixels.")
    assert "untrained" in field_text(FieldSeen(question, (0, 0), 7.6))
    assert field_text(FieldSeen(question, error="No.")) == "No."


def tried(kind, pixels, rings, reach=2):
    question = TryFrame(HERE, None, (), (), kind, pixels, HERE)
    return FrameTried(question, (0, 0), 4, reach, rings)


@pytest.mark.parametrize(
    ("pixels", "rings", "words"),
    [
        (8, (0.5, 0.1, 1e-7), ["a multiple of the stride 4", "less than 0.1"]),
        (3, (0.5, 0.1, 0.2), ["no multiple of the stride 4", "up to 20.0"]),
        (4, (0.5, 0.1), ["nearer to the border than 2 pixels", "up to 50.0"]),
    ],
)
def test_shifts(pixels, rings, words):
    text = frame_text(tried("shift", pixels, rings))
    assert all(word in text for word in words)


def test_borders():
    text = frame_text(tried("border", 1, (0.6, 0.07, 0.01, 0.0), reach=3))
    assert "up to 60.0" in text
    assert "within 2 pixels" in text
    assert "Further in than 3 pixels nothing" in text
