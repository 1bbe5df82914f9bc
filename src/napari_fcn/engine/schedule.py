"""Learning rate and averaging window, for a fixed time as well as "until I stop"."""

from __future__ import annotations

import math

_WARM_UP = 10
_LONG_WARM_UP = 40
_HALF_LIFE = 300
_SETTLES_IN = 50
FLOOR = 0.02
"""The factor on the learning rate below which it does not fall."""


def learning_rate_factor(
    step: int, progress: float | None, *, gentle: bool = False, begun: int = 0
) -> float:
    """Return the factor on the peak learning rate.

    Parameters
    ----------
    step : int
        Steps done.
    progress : float, optional
        Share of the budget used, 0 to 1; None when there is no budget.
    gentle : bool
        For a network that knows something already: the optimiser does not know at
        first which gradients are noise, and what the network knows is worth more than
        they are. So the warm-up is longer.
    begun : int
        The step from which on there is this optimiser; it warms up from there.

    Returns
    -------
    float
        A linear warm-up, then half a cosine over the budget (Loshchilov & Hutter
        2017). Without one the inverse square root of time, which never comes to rest;
        the moving average of the weights makes up for that. What knows something
        already comes to rest by `settling_factor`.
    """
    own = step - begun + 1
    warm_up = min(1.0, own / (_LONG_WARM_UP if gentle else _WARM_UP))
    if progress is not None:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return warm_up * (FLOOR + (1 - FLOOR) * cosine)
    return warm_up if gentle else warm_up / math.sqrt(1 + step / _HALF_LIFE)


def settling_factor(since: float) -> float:
    """Return the factor on the learning rate so many steps after one painted last.

    A network that knows something already has soon learned what a few strokes tell;
    what it learns from them later is less and less true of the rest. So the rate falls
    exponentially, and is full again when there are new strokes.

    Parameters
    ----------
    since : float
        Steps since the annotation changed; the more is annotated, the less they count,
        as for `averaging_rate`.

    Returns
    -------
    float
        1 at first, 1 / e after fifty steps; at least `FLOOR`.
    """
    return max(FLOOR, math.exp(-since / _SETTLES_IN))


def averaging_rate(step: int, since: float | None = None) -> float:
    """Return how much of the current weights enters the moving average.

    The window grows with the run (a seventh of it) up to 200 steps, so that the
    average follows quickly at first and is steady later.

    For a network that knows something already it covers all steps since the annotation
    changed, and forty before: the mean of the path that weights take (Polyak &
    Juditsky 1992), at least as long, up to 200 steps. So few strokes pull it less far
    from what it knew, and new ones are followed at once.

    Parameters
    ----------
    step : int
        Of the run.
    since : float, optional
        Steps since the annotation changed, where the network knew something; the less
        that is to be trusted, the fewer.
    """
    window = step / 7 if since is None else max(step / 7, _LONG_WARM_UP + since)
    return 1.0 / min(200.0, max(1.0, window))
