"""What a generated scene looks like: colours, textures, light, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pretraining.fields import oriented_noise, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Random = np.random.Generator


@dataclass(frozen=True)
class Material:
    """The look of one part.

    Attributes
    ----------
    colour : (3,) float
        Mean intensity per channel.
    scatter : float
        Deviation of the mean intensity from object to object.
    texture : float
        Deviation of the texture inside.
    grain, stretch : float
        Its correlation length in pixels, and how much longer it is along than across.
    relief : float
        How much brighter the middle of an object is than its border.
    fade : float
        How much of it is lost in places, where it looks like what `fades_to` is.
    fades_to : (3,) float, optional
        That colour.
    """

    colour: NDArray[np.float64]
    scatter: float
    texture: float
    grain: float
    stretch: float = 1.0
    relief: float = 0.0
    fade: float = 0.0
    fades_to: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Look:
    """Everything about a look but where things are.

    Attributes
    ----------
    materials : list of Material
        One per part of the scene.
    blur, noise, grain : float
        Of the optics; of the camera, and its correlation length.
    shading : float
        How uneven the light is.
    photons : float
        How much of the noise grows with the light.
    haze : float
        Light that is spread widely, as from what is out of focus.
    """

    materials: list[Material]
    blur: float
    noise: float
    grain: float
    shading: float
    photons: float
    haze: float = 0.0


def plan_look(parts: int, random: Random) -> Look:
    """Draw a look in which the parts differ more than the noise."""
    contrast = random.uniform(0.12, 0.7)
    grey = random.random() < 0.6
    colours = _colours(parts, contrast, grey, random)
    common = 0.4 * random.uniform() ** 2 * contrast
    materials = [
        Material(
            colour=colour,
            scatter=random.uniform(0, 0.4) * contrast * random.integers(0, 2),
            texture=common
            + 0.6 * random.uniform() ** 2 * contrast * random.integers(0, 2),
            grain=float(np.exp(random.uniform(np.log(0.5), np.log(4)))),
            stretch=random.choice([1.0, 1.0, 1.0, 3.0]),
            relief=random.normal(0, 0.35) * contrast * random.integers(0, 2),
        )
        for colour in colours
    ]
    return Look(
        materials,
        blur=random.uniform(0.3, 1.6),
        noise=(0.02 + 0.4 * random.uniform() ** 3) * contrast,
        grain=random.choice([0.0, 0.0, 0.6, 1.0]),
        shading=random.uniform(0, 0.6) * contrast * random.integers(0, 2),
        photons=random.uniform(0, 1),
    )


def _colours(
    parts: int, contrast: float, grey: bool, random: Random
) -> list[NDArray[np.float64]]:
    """Spread the parts over the grey levels in random order, with some by chance."""
    levels = random.permutation(np.linspace(0, 1, parts)) if parts > 1 else [0.5]
    base = random.uniform(0, 1, 3)
    axis = np.ones(3) if grey else random.normal(0, 1, 3)
    axis = axis / np.abs(axis).max()
    colours = []
    for level in levels:
        jitter = random.normal(0, 0.15)
        colour = base * (not grey) + contrast * axis * (level + jitter)
        if not grey:
            colour = colour + random.normal(0, 0.25, 3) * contrast
        colours.append(np.asarray(colour, float))
    if parts > 2 and random.random() < 0.25:  # told apart by form or texture alone
        twin, other = random.choice(parts, 2, replace=False)
        colours[twin] = colours[other] + random.normal(0, 0.06) * contrast
    return colours


def render(
    parts: NDArray[np.uint8], objects: NDArray[np.int32], look: Look, random: Random
) -> NDArray[np.float32]:
    """Return an image (3, Y, X) of parts; its intensities are in no particular range.

    Parameters
    ----------
    parts : (Y, X) uint8
        Indices of materials.
    objects : (Y, X) int
        What shares a random brightness.
    look : Look
        How it looks.
    random : numpy.random.Generator
        Source of randomness.
    """
    shape = parts.shape
    image = np.zeros((3, *shape), np.float32)
    brightness = random.standard_normal(int(objects.max()) + 1)[objects]
    for index, material in enumerate(look.materials):
        mask = parts == index
        if not mask.any():
            continue
        value = material.scatter * brightness
        if material.texture:
            value = value + material.texture * _texture(shape, material, random)
        if material.relief:
            depth = ndimage.distance_transform_edt(mask)
            value = value + material.relief * (np.minimum(depth / 6, 1) - 0.5)
        colour = _faded(material, shape, random)
        image = np.where(mask, colour + value, image)
    return _photograph(image.astype(np.float32), look, random)


def _faded(
    material: Material, shape: tuple[int, int], random: Random
) -> NDArray[np.float64]:
    """Return the colour everywhere, (3, Y, X) or (3, 1, 1)."""
    colour = material.colour[:, None, None]
    if material.fades_to is None or not material.fade:
        return colour
    lost = np.clip(smooth_noise(shape, 7, random) - 0.4, 0, 1) * material.fade
    return colour + lost * (material.fades_to[:, None, None] - colour)


def _texture(
    shape: tuple[int, int], material: Material, random: Random
) -> NDArray[np.float32]:
    if material.stretch > 1:
        along = material.grain * material.stretch
        return oriented_noise(shape, along, material.grain, random)
    return smooth_noise(shape, material.grain, random)


def _photograph(
    image: NDArray[np.float32], look: Look, random: Random
) -> NDArray[np.float32]:
    """Let light be uneven, blur, and add noise."""
    if look.haze:
        wide = ndimage.gaussian_filter(image, (0, 8, 8))
        image = image + look.haze * (wide - image)
    image = ndimage.gaussian_filter(image, (0, look.blur, look.blur))
    shape = image.shape[1:]
    if look.shading:
        image = image + look.shading * smooth_noise(shape, min(shape) / 3, random)
    noise = random.standard_normal(image.shape, dtype=np.float32)
    if np.allclose(image[0], image[1]):
        noise[:] = noise[:1]
    if look.grain:
        noise = ndimage.gaussian_filter(noise, (0, look.grain, look.grain))
        noise /= max(float(noise.std()), 1e-6)
    bright = (image - image.min()) / max(float(np.ptp(image)), 1e-6)
    strength = look.noise * (1 - look.photons + 1.6 * look.photons * np.sqrt(bright))
    return (image + strength * noise).astype(np.float32)
