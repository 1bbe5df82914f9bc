"""What is set for one task only, beside the settings that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from napari_fcn.config.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fcn.config.classes import ClassInfo
    from napari_fcn.config.model import Task
    from napari_fcn.config.training import TrainingConfig


BLIND_SPOT = "noise2void"
"""The loss that needs no target images."""
HETEROSCEDASTIC = "heteroscedastic"
"""The loss that also learns by how much a prediction may be off."""


class CountingSettings(Frozen):
    """How counting is learned.

    Attributes
    ----------
    loss : str
        A loss for density maps.
    sizes : dict
        Diameter of the objects in pixels by the number of their class, where it is
        known; from the spacing of the dots where not.
    """

    loss: str = "l2+counts"
    sizes: dict[int, float] = Field(default={})


class ImageSettings(Frozen):
    """How images are learned from images.

    Attributes
    ----------
    loss : str
        A loss for images; ``noise2void`` needs no target.
    """

    loss: str = "l2"


def training_for(
    task: Task,
    training: TrainingConfig,
    counting: CountingSettings,
    images: ImageSettings,
    classes: Sequence[ClassInfo] = (),
    outputs: Sequence[str] = (),
) -> TrainingConfig:
    """Return the settings of a run of a task.

    Parameters
    ----------
    task : str
        What is learned.
    training : TrainingConfig
        What all tasks share; its loss is that of segmentation.
    counting : CountingSettings
        For counting.
    images : ImageSettings
        For image to image.
    classes : sequence of ClassInfo
        What is counted.
    outputs : sequence of str
        What the target images show.
    """
    if task == "density":
        sizes = tuple(counting.sizes.get(c.value) for c in classes)
        return training.model_copy(
            update={"loss": counting.loss, "object_sizes": sizes}
        )
    if task == "regression":
        return training.model_copy(
            update={"loss": images.loss, "output_names": tuple(outputs)}
        )
    return training
