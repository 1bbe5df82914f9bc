"""How the stores of live predictions are called, and what they are predicted from.

There is one for labels, else one per channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.data.axes import Axes
from napari_fcn.project.image import AxesRecord

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from napari_fcn.config import Task
    from napari_fcn.project import ProjectImage

LIVE = "live"
"""Predicted labels of what is on the screen."""
COMPARED = ("compare-1", "compare-2")
"""Labels that two models predict, to be compared."""


def live_store(task: Task, number: int) -> str:
    """Return the name of the store of one channel of densities or images."""
    return f"{LIVE}-{task}-{number}"


def deviation_store(number: int) -> str:
    """Return the name of the store of how far one predicted image may be off."""
    return f"{LIVE}-deviation-{number}"


def whole_store(task: Task, number: int) -> str:
    """Return the name of the store of one channel of the whole image."""
    return f"whole-{task}-{number}"


def places_of(outputs: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return which output of a model is which of the images that are shown.

    Targets may have been added, removed or put in another order since it was trained.

    Parameters
    ----------
    outputs : sequence of str
        What the outputs of the model show.
    wanted : sequence of str
        What the images are called; like the outputs if there are none.

    Returns
    -------
    list of int or None
        For each image the output that is called the same; else the one in its place,
        if there are as many and it is no other image's; None where there is neither.
    """
    if not wanted or list(wanted) == list(outputs):
        return list(range(len(outputs)))
    places: list[int | None] = []
    for place, name in enumerate(wanted):
        if name in outputs:
            places.append(list(outputs).index(name))
        elif len(wanted) == len(outputs) and outputs[place] not in wanted:
            places.append(place)
        else:
            places.append(None)
    return places


def origin(project: Path, image: ProjectImage) -> Hashable:
    """Return what is equal as long as the same pixels are read, in the same way.

    Keys come from names, so that images of two projects may have the same; and the
    image of a key may come to lie elsewhere, or have other axes.

    Parameters
    ----------
    project : Path
        The project's folder.
    image : ProjectImage
        The image.

    Returns
    -------
    hashable
        The folder and all that is known of the image, except what changes while the
        pixels stay: its name, how large a pixel is and where it lies in space, and what
        its labels are for.
    """
    names = AxesRecord.of(Axes.of(image.axes.names))
    alike = {"name": "", "axes": names, "dense": False, "testing": ()}
    return project, image.model_copy(update=alike)
