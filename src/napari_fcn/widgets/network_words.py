"""What the Network dock says, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.workbench.questions import Described, FieldSeen, FrameTried

_VISIBLE = 0.05
"""A change of a probability by less than this is hardly seen."""


def facts_text(answer: Described, step: float = 1.0, unit: str = "") -> str:
    """Say how large a network is and what it sees.

    Parameters
    ----------
    answer : Described
        Of the network.
    step : float
        Size of a pixel along X.
    unit : str
        Unit of it; empty where no scale is known.
    """
    if answer.error:
        return answer.error
    seen = _times(answer.size)
    text = f"{answer.parameters:,} weights. Around each pixel it sees {seen} pixels"
    if unit:
        text += f" ({_times([round(s * step, 3) for s in answer.size])} {unit})"
    return f"{text}; total stride {_times(sorted(set(answer.stride)))}."


def field_text(answer: FieldSeen) -> str:
    """Say what a heat map of the effective receptive field shows."""
    if answer.error:
        return answer.error
    axes = len(answer.question.position)
    what = "" if answer.trained else "untrained, still at random: "
    return (
        f"Heat map ({what}bright = counts much). What counts noticeably would fill a "
        f"box of {_times([round(answer.size)] * axes)} pixels."
    )


def frame_text(answer: FrameTried) -> str:
    """Say what a frame has changed."""
    if answer.error:
        return answer.error
    rings, question = answer.by_distance, answer.question
    near = max(rings, default=0.0)
    inside = max(rings[answer.reach :], default=None)
    if question.kind == "border":
        width = max((i + 1 for i, e in enumerate(rings) if e > _VISIBLE), default=0)
        return (
            "Without what lies beyond the new border, probabilities change by up to "
            f"{_percent(near)}; more than 5\u00a0% only within {width} pixels of it. "
            f"Further in than {answer.reach} pixels nothing can change."
        )
    fits = question.pixels % answer.stride == 0
    why = (
        f"a multiple of the stride {answer.stride}, so nothing may change but what "
        "is near the border"
        if fits
        else f"no multiple of the stride {answer.stride}, so the network counts its "
        "pixels in other groups"
    )
    text = f"A shift by {question.pixels} pixels is {why}. "
    if inside is None:
        return (
            f"{text}All that is in view is nearer to the border than {answer.reach} "
            f"pixels, and changes by up to {_percent(near)}."
        )
    return (
        f"{text}Far from the border, probabilities change by up to {_percent(inside)}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%" if share >= 5e-4 else "less than 0.1\u00a0%"


def _times(numbers: Sequence[float]) -> str:
    return " × ".join(f"{n:g}" for n in numbers)
