"""Learning from one's own average where nothing is annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.engine.masked import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

TRUST = 2000
"""How many annotated pixels weigh as much as what the teacher says of the others."""


def trust(annotated: int) -> float:
    """Return how far what is known may be trusted against so many annotated pixels.

    1 up to 2000 pixels, and then the less, the more they are.
    """
    return min(1.0, _weight(annotated))


def teacher_loss(
    wanted: Tensor, output: Tensor, target: Tensor, annotated: int
) -> Tensor:
    """Return how far a network is from its teacher on pixels that are not annotated.

    A few strokes say nothing about most of an image, and a network that fits only
    them forgets what it knew about the rest. So the moving average of its weights is
    its teacher there (Tarvainen & Valpola 2017, "Mean teachers are better role
    models"): the cross-entropy with what that predicts, with a weight that falls as
    annotation grows.

    Parameters
    ----------
    wanted : Tensor
        Logits (N, K, *spatial) of the teacher.
    output : Tensor
        Logits (N, K, *spatial) of the network that learns.
    target : Tensor
        int64 (N, *spatial), `IGNORE` where not annotated.
    annotated : int
        Annotated pixels in all.

    Returns
    -------
    Tensor
        The weighted term, a scalar.
    """
    free = target == IGNORE
    apart = -(wanted.float().softmax(1) * output.float().log_softmax(1)).sum(1)
    mean = (apart * free).sum() / free.sum().clamp(min=1)
    return _weight(annotated) * mean


def _weight(annotated: int) -> float:
    return TRUST / max(1, annotated)
