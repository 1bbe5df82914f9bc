"""Images with a target that is an image, too, or with themselves as the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fcn.data.annotations import LabelledImage
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_fcn.config import OutputInfo
    from napari_fcn.data.annotations import Annotations, Coordinates, SampleKey
    from napari_fcn.data.source import ImageSource


@dataclass(frozen=True, eq=False)
class PairedImage:
    """An image with the image that a network shall make of it.

    Attributes
    ----------
    image : ImageSource
        The image.
    target : ImageSource, optional
        Of the same samples and size, with channels of its own; the image itself where
        there is none. NaN means not known.
    regions : array, optional
        Of the image's label shape; the target is trusted where it is not 0. Everywhere
        by default.
    testing : tuple of tuple of slice
        Boxes of the label shape that only score; nothing in them is learned from.
    """

    image: ImageSource
    target: ImageSource | None = None
    regions: Any = None
    testing: tuple[tuple[slice, ...], ...] = ()

    def __post_init__(self) -> None:
        """Check that both fit."""
        if self.target is not None:
            mine = (self.image.sample_shape, self.image.spatial_shape)
            other = (self.target.sample_shape, self.target.spatial_shape)
            if mine != other:
                raise UserError(
                    f"The target {self.target.name} has shape "
                    f"{other[0] + other[1]} but {self.image.name} has "
                    f"{mine[0] + mine[1]}, channels left out; choose the target of "
                    "this image."
                )
        shape = self.image.label_shape
        if self.regions is not None and tuple(self.regions.shape) != shape:
            raise UserError(
                f"The regions of {self.image.name} have shape "
                f"{tuple(self.regions.shape)} but the image needs {shape}; choose the "
                "regions of this image."
            )

    def trusted(self) -> LabelledImage:
        """Return where the target is trusted, as labels with the number 1."""
        regions = self.regions
        if regions is None:
            regions = np.broadcast_to(np.uint8(1), self.image.label_shape)
        elif isinstance(regions, np.ndarray):
            regions = (regions != 0).astype(np.uint8)
        return LabelledImage(self.image, regions, dense=True, testing=self.testing)


class ImageTargets:
    """Normalised target images and where they are trusted, for crops.

    Parameters
    ----------
    images : sequence of PairedImage
        All with targets.
    annotations : Annotations
        Of the trusted regions.
    outputs : sequence of OutputInfo
        The range of each channel.
    """

    nothing = 0.0
    when_empty = "No region is trusted any more; mark one."

    def __init__(
        self,
        images: Sequence[PairedImage],
        annotations: Annotations,
        outputs: Sequence[OutputInfo],
    ) -> None:
        self.images = list(images)
        self._annotations = annotations
        self._offsets = np.array([o.offset for o in outputs], np.float32)
        self._scales = np.array([o.scale for o in outputs], np.float32)

    def spatial_shape(self, number: int) -> tuple[int, ...]:
        """Return the size of an image's samples."""
        return self._annotations.spatial_shape(number)

    def by_class(self, *, held: bool) -> list[list[tuple[SampleKey, Coordinates]]]:
        """Return trusted pixels."""
        return self._annotations.by_class(held=held)

    def target(
        self,
        number: int,
        sample: tuple[int, ...],
        region: tuple[slice, ...],
        held: bool,
    ) -> NDArray[np.float32]:
        """Return the target, and where it is trusted.

        Returns
        -------
        (K + 1, *region) float32
            About 0 to 1; in the last channel 1 where trusted, else 0.
        """
        seen = self._annotations.target(number, sample, region, held) >= 0
        target = self.images[number].target
        if target is None:  # the image itself, which the crop has already
            return seen[np.newaxis].astype(np.float32)
        view = (-1,) + (1,) * len(region)
        values = target.read(sample, region)
        known = np.isfinite(values).all(0) & seen
        with np.errstate(over="ignore", invalid="ignore"):
            values = (values - self._offsets.reshape(view)) / self._scales.reshape(view)
        values = np.where(known, values, 0).astype(np.float32)
        return np.concatenate([values, known[np.newaxis].astype(np.float32)])
