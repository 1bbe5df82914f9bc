from __future__ import annotations

from dataclasses import replace

from napari_fcn.widgets.words import button_text, state_text
from napari_fcn.workbench.status import Status


def test_it_is_said_that_a_network_rests():
    learning = Status(state="training", warm=True, step=200, seconds=60.0, speed=3.3)
    assert "3.3 steps/s" in state_text(learning)
    resting = replace(learning, speed=0.0, resting=True)
    assert state_text(resting).startswith("Learned what is painted – step 200, ")
    assert button_text(resting) == button_text(learning)
    paused = replace(resting, state="paused")
    assert state_text(paused).startswith("Paused")
