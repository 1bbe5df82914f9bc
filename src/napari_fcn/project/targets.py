"""What an image's dots, areas, counted boxes and target images are, on disk.

One JSON file per image in the project's folder ``targets``, replaced as a whole with
every change. It lies beside the labels, which it does not touch: one image may have
strokes, dots and target images at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from napari_fcn.config import Frozen
from napari_fcn.data.files import atomic_path
from napari_fcn.errors import UserError
from napari_fcn.project.image import ProjectImage  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from pathlib import Path

Corner = tuple[float, ...]
Form = Literal["rectangle", "polygon", "ellipse", "path", "line"]


class Dot(Frozen):
    """One object.

    Attributes
    ----------
    place : tuple of float
        In pixels along the axes of the labels.
    value : int
        The number of its class.
    """

    place: Corner
    value: int


class Area(Frozen):
    """A drawn area in one plane of the labels.

    Attributes
    ----------
    form : str
        As napari calls it.
    corners : tuple of tuple of float
        In pixels along the axes of the labels.
    """

    form: Form
    corners: tuple[Corner, ...]


class CountBox(Frozen):
    """A drawn rectangle whose objects are counted.

    Attributes
    ----------
    corners : tuple of tuple of float
        As those of an area.
    counts : dict
        The true count by the number of the class, where the user has typed it.
    """

    corners: tuple[Corner, ...]
    counts: dict[int, float] = Field(default={})


class Targets(Frozen):
    """All that an image is annotated with, other than strokes.

    Attributes
    ----------
    dots : tuple of Dot
        One per object.
    dotted : tuple of Area
        Where every object has a dot; slices with dots as a whole if there is none.
    boxes : tuple of CountBox
        Where counts are wanted, or known.
    targets : tuple of ProjectImage
        The images that a network shall make of this one, opened like any image.
    trusted : tuple of Area
        Where the targets are right; everywhere if there is none.
    """

    dots: tuple[Dot, ...] = ()
    dotted: tuple[Area, ...] = ()
    boxes: tuple[CountBox, ...] = ()
    targets: tuple[ProjectImage, ...] = ()
    trusted: tuple[Area, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each channel of the targets shows."""
        names: list[str] = []
        for image in self.targets:
            channel = image.axes.axes().channel
            count = 1 if channel is None else image.shape[channel]
            names += (
                [image.name]
                if count == 1
                else [f"{image.name} {n + 1}" for n in range(count)]
            )
        return tuple(names)


def read_targets(project: Path, key: str) -> Targets:
    """Read what an image is annotated with; nothing where there is no file.

    Raises
    ------
    UserError
        If the file is damaged or cannot be read.
    """
    path = _path(project, key)
    try:
        return Targets.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Targets()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); see to it that you may read it."
        ) from error
    except (ValueError, ValidationError, RecursionError) as error:
        raise UserError(f"{path} is damaged; restore it from a copy.") from error


def write_targets(project: Path, key: str, targets: Targets) -> None:
    """Replace what an image is annotated with; raises `UserError` if it cannot."""
    with atomic_path(_path(project, key)) as temporary:
        temporary.write_text(targets.model_dump_json() + "\n", encoding="utf-8")


def _path(project: Path, key: str) -> Path:
    path = project / "targets" / f"{key}.json"
    if not path.resolve().is_relative_to(project.resolve()):
        raise UserError(
            f"{path} is a link that leads out of the project; put what it leads to in "
            "its place."
        )
    return path
