"""The targets of several images in one order: what is called alike is one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_fcn.project import ProjectImage

    ImageTargets = tuple[ProjectImage, ...]


def arranged(targets: ImageTargets, others: Iterable[ImageTargets]) -> ImageTargets:
    """Return targets in the order of another image whose targets are called the same.

    Parameters
    ----------
    targets : tuple of ProjectImage
        Of one image.
    others : iterable of tuple of ProjectImage
        Of other images; the first that are called the same decide.
    """
    mine = sorted(_names(targets))
    for other in others:
        names = _names(other)
        if sorted(names) == mine:
            return tuple(sorted(targets, key=lambda target: names.index(target.name)))
    return targets


def require_alike(
    image: str, targets: ImageTargets, others: Iterable[tuple[str, ImageTargets]]
) -> None:
    """Refuse targets that are in another place than those called the same elsewhere.

    Names of an image's own are no mistake: a stain is often a layer that is called
    after its image.

    Parameters
    ----------
    image : str
        What the image is called.
    targets : tuple of ProjectImage
        Of this image.
    others : iterable of (str, tuple of ProjectImage)
        Names and targets of other images.

    Raises
    ------
    UserError
        If a name stands in another place, so that two things would be taken for one.
    """
    mine = _names(targets)
    for name, other in others:
        theirs = _names(other)
        if mine != theirs and any(
            mine.count(n) == theirs.count(n) == 1 and theirs.index(n) != place
            for place, n in enumerate(mine)
        ):
            raise UserError(
                f"{image} has the targets {', '.join(mine)} but {name} has "
                f"{', '.join(theirs)}; give both the same targets, called alike."
            )


def _names(targets: Sequence[ProjectImage]) -> list[str]:
    return [target.name for target in targets]
