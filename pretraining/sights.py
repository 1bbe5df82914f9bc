"""Common sights of microscopy: what lies there, how it looks, and what is looked for.

Each function draws a *style* of one kind, such as nuclei in fluorescence, with all that
differs between laboratories left to chance: sizes, contrast, texture, blur, noise.
Materials are listed for the ground and for the two parts of each layer, see
`pretraining.scenes.make_image`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pretraining.geometry import Draw, blobs, cells, regions, spots, threads
from pretraining.rendering import Look, Material

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Random = np.random.Generator


@dataclass(frozen=True)
class Style:
    """How the images of a scene come about, and what people look for in them.

    Attributes
    ----------
    draws : list of callable
        What lies on top of each other, from the ground up.
    inside : list of bool
        For each of them: whether it is only seen inside of what lies below it.
    look : Look
        With a material for the ground and for two parts of each layer.
    wanted : list of set
        Parts that make an object of interest, most wanted first; may be empty.
    """

    draws: list[Draw]
    inside: list[bool]
    look: Look
    wanted: list[set[int]]


Plan = Callable[["Random"], Style]


def electron_microscopy(random: Random) -> Style:
    """Plan tissue in an electron microscope: membranes, organelles, vesicles."""
    light = random.uniform(0.55, 0.8)
    dark = random.uniform(0.05, 0.3)
    organelle = random.uniform(dark, 0.9 * light)
    grain = random.uniform(0.5, 1.6)
    fine = random.uniform(0.02, 0.2)
    inside = _grey(light, random.uniform(0, 0.1), fine, grain)
    membrane = Material(
        _level(dark),
        0.0,
        random.uniform(0.02, 0.1),
        grain,
        fade=random.uniform(0, 0.9),
        fades_to=_level(light),
    )
    body = Material(
        _level(organelle),
        random.uniform(0, 0.1),
        random.uniform(0.03, 0.2),
        random.uniform(0.8, 2.0),
        stretch=random.choice([1.0, 4.0]),
    )
    rim = _grey(random.uniform(dark, organelle), 0.03, fine, grain)
    vesicle = _grey(random.uniform(dark, light), 0.08, fine, grain)
    materials = [inside, inside, membrane, body, rim, vesicle, vesicle]
    draws = [
        cells(random, (10, 60), (1.6, 7), 0.25),
        blobs(random, (3, 32), (0.02, 0.25), 0.7),
        spots(random),
    ]
    wanted = [{2}, {2}, {3, 4}, {1}, {2, 4}]
    look = _optics(random, noise=(0.005, 0.15), blur=(0.4, 1.8), haze=0.2)
    return _style(draws, [False, True, True], materials, look, wanted)


def fluorescent_nuclei(random: Random) -> Style:
    """Plan bright bodies on a dark ground, of equal or very unequal brightness."""
    bright = 1.0
    ground = _grey(random.uniform(0, 0.15), 0.0, random.uniform(0, 0.04), 6.0)
    body = Material(
        _level(bright),
        random.choice([0.0, 0.15, 0.35, 0.5]),
        random.uniform(0, 0.25),
        random.uniform(1, 4),
        relief=random.uniform(0, 0.5),
    )
    debris = _grey(random.uniform(0.1, 1.0), 0.2, 0.05, 2.0)
    draws = [blobs(random, (3.5, 24), (0.05, 0.5), 0.0)]
    materials = [ground, body, body]
    if random.random() < 0.4:
        draws.insert(0, (spots if random.random() < 0.5 else regions)(random))
        dim = _grey(random.uniform(0.1, 0.4), 0.1, 0.08, random.uniform(2, 6))
        materials = [ground, dim, debris, body, body]
    top = 2 * len(draws) - 1
    look = _optics(random, noise=(0.005, 0.25), blur=(0.5, 2.2), haze=0.5)
    return _style(draws, [False] * len(draws), materials, look, [{top, top + 1}] * 3)


def fluorescent_borders(random: Random) -> Style:
    """Plan bright walls or membranes between cells, with or without nuclei."""
    inside = _grey(random.uniform(0, 0.4), 0.1, random.uniform(0, 0.1), 2.5)
    wall = Material(
        _level(1.0),
        0.0,
        random.uniform(0, 0.25),
        random.uniform(1, 5),
        fade=random.uniform(0, 1.0),
        fades_to=inside.colour,
    )
    nucleus = _grey(random.uniform(0, 0.9), 0.1, 0.1, 2.0)
    draws = [cells(random, (9, 45), (1.5, 6)), blobs(random, (3, 10), (0.05, 0.25))]
    materials = [inside, inside, wall, nucleus, nucleus]
    look = _optics(random, noise=(0.01, 0.3), blur=(0.5, 2.0), haze=0.5)
    return _style(draws, [False, True], materials, look, [{2}, {1, 3, 4}, {3, 4}])


def stained_tissue(random: Random) -> Style:
    """Plan stained tissue in colour: nuclei on stroma, holes, fibres."""
    white = np.array([0.93, 0.92, 0.94]) + random.normal(0, 0.03, 3)
    stroma = np.array([0.85, 0.62, 0.75]) + random.normal(0, 0.09, 3)
    stain = np.array([0.38, 0.25, 0.52]) + random.normal(0, 0.1, 3)
    stain = stain + random.uniform(0, 0.45) * (stroma - stain)
    if random.random() < 0.25:
        stroma, stain = random.permutation(stroma), random.permutation(stain)
    ground = Material(stroma, 0.05, random.uniform(0.02, 0.12), random.uniform(1, 4))
    fibre = Material(stroma * random.uniform(0.8, 1.1), 0.03, 0.08, 2.0, stretch=3.0)
    nucleus = Material(
        stain, random.uniform(0, 0.12), random.uniform(0.02, 0.12), random.uniform(1, 3)
    )
    rim = Material(stain * random.uniform(0.7, 1.0), 0.02, 0.04, 1.0)
    empty = Material(white, 0.0, 0.01, 1.0)
    materials = [ground, empty, fibre, fibre, fibre, nucleus, rim]
    draws = [
        regions(random),
        threads(random, (1.5, 8)),
        blobs(random, (3, 16), (0.08, 0.5)),
    ]
    look = _optics(random, noise=(0.005, 0.06), blur=(0.4, 1.5), haze=0.15)
    wanted = [{5, 6}, {5, 6}, {5, 6}, {1}]
    return _style(draws, [False] * 3, materials, look, wanted)


def transmitted_light(random: Random) -> Style:
    """Plan cells in phase contrast or bright field: halos, texture, equal means."""
    level = 0.5
    ground = _grey(level, 0.0, random.uniform(0, 0.04), random.uniform(1, 5))
    inside = Material(
        _level(level + random.normal(0, 0.12)),
        random.uniform(0, 0.08),
        random.uniform(0.04, 0.25),
        random.uniform(0.8, 3),
        relief=random.normal(0, 0.25),
    )
    rim = _grey(random.choice([0.1, 0.9]) + random.normal(0, 0.08), 0.03, 0.05, 2.0)
    organelle = _grey(random.uniform(0.1, 0.9), 0.08, 0.05, 1.5)
    draws = [blobs(random, (6, 28), (0.12, 0.6), 0.8), spots(random)]
    materials = [ground, inside, rim, organelle, organelle]
    look = _optics(random, noise=(0.005, 0.1), blur=(0.4, 1.5), haze=-0.3)
    return _style(draws, [False, True], materials, look, [{1, 2, 3, 4}] * 3 + [{2}])


def curves(random: Random) -> Style:
    """Plan filaments or vessels, brighter or darker than an uneven ground."""
    ground = _grey(0.4, 0.0, random.uniform(0, 0.1), random.uniform(2, 8))
    level = 0.4 + random.choice([-1, 1]) * random.uniform(0.2, 0.5)
    line = Material(
        _level(level),
        0.05,
        random.uniform(0, 0.1),
        2.0,
        fade=random.uniform(0, 0.9),
        fades_to=ground.colour,
    )
    blot = _grey(random.uniform(0, 1), 0.1, 0.05, 3.0)
    draws = [blobs(random, (4, 24), (0.03, 0.2), 0.3), threads(random, (1.2, 9))]
    materials = [ground, blot, blot, line, line]
    look = _optics(random, noise=(0.005, 0.2), blur=(0.4, 1.8), haze=0.4)
    return _style(draws, [False, False], materials, look, [{3, 4}] * 4 + [{1, 2}])


def _grey(level: float, scatter: float, texture: float, grain: float) -> Material:
    return Material(_level(level), scatter, texture, grain)


def _level(value: float) -> NDArray[np.float64]:
    return np.full(3, float(value))


def _optics(
    random: Random,
    noise: tuple[float, float],
    blur: tuple[float, float],
    haze: float,
) -> Look:
    """Draw what optics and camera do; noise is more often low than high."""
    low, high = noise
    return Look(
        [],
        blur=random.uniform(*blur),
        noise=low + (high - low) * random.uniform() ** 2,
        grain=random.choice([0.0, 0.0, 0.6, 1.0]),
        shading=random.uniform(0, 0.25) * random.integers(0, 2),
        photons=random.uniform(0, 1),
        haze=random.uniform(0, 1) * haze,
    )


def _style(
    draws: list[Draw],
    inside: list[bool],
    materials: list[Material],
    optics: Look,
    wanted: list[set[int]],
) -> Style:
    return Style(draws, inside, replace(optics, materials=materials), wanted)


SIGHTS: tuple[Plan, ...] = (
    electron_microscopy,
    fluorescent_nuclei,
    fluorescent_borders,
    stained_tissue,
    transmitted_light,
    curves,
)
