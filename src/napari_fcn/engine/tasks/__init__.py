"""What a network can learn: each task says what target, loss and score are.

The trainer knows steps, weights and averages; everything that depends on what the
output means is in a `Task`. Which one it is follows from what the images are annotated
with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fcn.config import TrainingConfig
from napari_fcn.data.annotations import LabelledImage
from napari_fcn.data.dots import DottedImage
from napari_fcn.data.pairs import PairedImage
from napari_fcn.engine.density_losses import DensityLoss
from napari_fcn.engine.image_losses import SumOfImageLosses
from napari_fcn.engine.losses import build_loss
from napari_fcn.engine.tasks import density, regression
from napari_fcn.engine.tasks.base import Score, Task
from napari_fcn.engine.tasks.density import Density
from napari_fcn.engine.tasks.regression import Regression
from napari_fcn.engine.tasks.segmentation import Segmentation
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fcn.config import ClassInfo, NetworkConfig

__all__ = [
    "TASKS",
    "Density",
    "Regression",
    "Score",
    "Segmentation",
    "Task",
    "check_loss",
    "start_task",
]

TASKS: dict[type, type[Task]] = {
    LabelledImage: Segmentation,
    DottedImage: Density,
    PairedImage: Regression,
}
"""The task for each kind of annotated image."""


_CHECKS: dict[str, tuple[Callable[[str], object], str]] = {
    "segmentation": (build_loss, TrainingConfig().loss),
    "density": (DensityLoss.of, density.DEFAULT_LOSS),
    "regression": (SumOfImageLosses.of, regression.DEFAULT_LOSS),
}


def check_loss(task: str, config: TrainingConfig) -> None:
    """Raise `UserError` if there is no such loss for a task."""
    build, default = _CHECKS[task]
    build(config.loss_for(default))


def start_task(
    images: Sequence[Any],
    classes: Sequence[ClassInfo],
    config: TrainingConfig,
    network: NetworkConfig,
) -> Task:
    """Find the task that annotated images ask for.

    Parameters
    ----------
    images : sequence
        All of one kind, a key of `TASKS`.
    classes : sequence of ClassInfo
        What is told apart.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train; the task sets its channels.

    Returns
    -------
    Task
        Ready to be started.

    Raises
    ------
    UserError
        If there is nothing to learn from, or images differ in kind or channels.
    """
    kinds = {type(item) for item in images}
    if not kinds:
        raise UserError("There is no image to learn from; open one first.")
    if len(kinds) > 1:
        raise UserError(
            "The images are annotated for different tasks; train on one task at a time."
        )
    return TASKS[kinds.pop()](images, classes, config, network)
