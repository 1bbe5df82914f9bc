"""Images with masks for measuring accuracy from strokes.

They are public data that may not be redistributed here; put them under a folder and
name it in the environment variable ``NAPARI_FCN_DATA``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.io import imread

from napari_fcn.data.axes import Axes
from napari_fcn.data.source import ImageSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BACKGROUND, OBJECT = 1, 2


def data_folder() -> Path:
    """Return where the data is, whether it exists or not."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    return Path(os.environ.get("NAPARI_FCN_DATA", beside))


@dataclass
class Dataset:
    """Images of one kind, with the truth.

    Attributes
    ----------
    name : str
        What it is called in tables.
    images : list of array
        All with the same axes; of a stack of sections, each section is one sample.
    truths : list of array
        Of the shape of the images without channels: 1 background, 2 object.
    axes : str
        One letter per array axis.
    ndim : int
        Number of spatial axes of the network.
    planes : list of tuple
        What can be painted or tested: (image, index of the plane along the first
        axis or None for the whole image).
    """

    name: str
    images: list[NDArray[Any]]
    truths: list[NDArray[np.uint8]]
    axes: str
    ndim: int = 2

    @property
    def planes(self) -> list[tuple[int, int | None]]:
        if "Z" not in self.axes:
            return [(i, None) for i in range(len(self.images))]
        return [
            (i, z) for i, image in enumerate(self.images) for z in range(len(image))
        ]

    def source(self, number: int) -> ImageSource:
        """Return an image as the engine reads it."""
        image = self.images[number]
        return ImageSource(image, Axes.of(self.axes), self.ndim, self.name)

    def plane_truth(self, plane: tuple[int, int | None]) -> NDArray[np.uint8]:
        """Return the truth of one plane, (Y, X)."""
        number, z = plane
        return self.truths[number] if z is None else self.truths[number][z]


def isbi2012() -> Dataset:
    """Electron microscopy of neurons, 30 sections; the objects are membranes."""
    folder = data_folder() / "isbi2012_em" / "data" / "membrane" / "train"
    image = np.stack([imread(folder / "image" / f"{i}.png") for i in range(30)])
    label = np.stack([imread(folder / "label" / f"{i}.png") for i in range(30)])
    truth = np.where(label < 128, OBJECT, BACKGROUND).astype(np.uint8)
    return Dataset("isbi2012", [image], [truth], "ZYX")


def dsb2018_fluorescence() -> Dataset:
    """Nuclei in fluorescence, images of many experiments; the objects are nuclei."""
    return _dsb2018("fluo", "dsb2018-fluorescence", lambda image: image[..., 0], "YX")


def dsb2018_tissue() -> Dataset:
    """Stained tissue in colour; the objects are nuclei."""
    return _dsb2018("he_rgb", "dsb2018-tissue", lambda image: image[..., :3], "YXS")


def _dsb2018(
    folder: str, name: str, take: Callable[[NDArray[Any]], NDArray[Any]], axes: str
) -> Dataset:
    root = data_folder() / "dsb2018_bbbc038" / folder
    files = sorted((root / "images").glob("*.png"))
    if not files:
        raise FileNotFoundError(root)
    masks = [imread(root / "labels" / f"{file.stem}.tif") for file in files]
    images = [take(imread(file)) for file in files]
    return Dataset(name, images, [_objects(m) for m in masks], axes)


def nuclei2d() -> Dataset:
    """Crowded nuclei in fluorescence, one image; cut into quarters."""
    folder = data_folder() / "nuclei3d_stardist_synth"
    image, mask = imread(folder / "img2d.tif"), imread(folder / "mask2d.tif")
    quarters = [np.s_[y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
    truths = [_objects(mask[q]) for q in quarters]
    return Dataset("nuclei2d", [image[q] for q in quarters], truths, "YX")


def nuclei3d() -> Dataset:
    """Generated nuclei in 3D, one small volume."""
    folder = data_folder() / "nuclei3d_stardist_synth"
    image, mask = imread(folder / "img3d.tif"), imread(folder / "mask3d.tif")
    return Dataset("nuclei3d", [image], [_objects(mask)], "ZYX", ndim=3)


def cells3d() -> Dataset:
    """Nuclei of tissue in 3D, every other pixel; its masks are not clean."""
    folder = data_folder() / "cells3d_nuclei"
    image = imread(folder / "nuclei.tif")[:, ::2, ::2]
    mask = imread(folder / "nuclei_label.tif")[:, ::2, ::2]
    return Dataset("cells3d", [image], [_objects(mask)], "ZYX", ndim=3)


def _objects(mask: NDArray[Any]) -> NDArray[np.uint8]:
    return np.where(mask > 0, OBJECT, BACKGROUND).astype(np.uint8)


DATASETS: dict[str, Callable[[], Dataset]] = {
    "isbi2012": isbi2012,
    "dsb2018-fluorescence": dsb2018_fluorescence,
    "dsb2018-tissue": dsb2018_tissue,
    "nuclei2d": nuclei2d,
    "nuclei3d": nuclei3d,
    "cells3d": cells3d,
}
"""All data sets by name; each loader raises FileNotFoundError where it is missing."""
