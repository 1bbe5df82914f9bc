"""The sample data of napari's menu, with prepared strokes on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    LayerData = tuple[Any, dict[str, Any], str]


def tissue() -> list[LayerData]:
    """Return the stained tissue section that scikit-image ships."""
    from napari_fcn.data import samples

    return [(samples.tissue(), {"name": "tissue", "rgb": True}, "image")]


def tissue_with_strokes() -> list[LayerData]:
    """Return the tissue section with strokes painted on its left half."""
    from napari_fcn.data import samples

    truth = samples.tissue_truth()
    half = truth.shape[1] // 2
    painted = truth * 0
    painted[:, :half] = samples.strokes(truth[:, :half])
    return [*tissue(), _strokes(painted, "tissue strokes")]


def blobs() -> list[LayerData]:
    """Return a generated stack of cells, and what is what in it."""
    from napari_fcn.data import samples

    image, truth = samples.blobs()
    hidden = {"name": "cells (generated) – truth", "visible": False, **_BLOBS}
    return [
        (image, {"name": "cells (generated)", **_BLOBS}, "image"),
        (truth, hidden, "labels"),
    ]


def blobs_with_strokes() -> list[LayerData]:
    """Return the generated stack with strokes on three of its slices."""
    from napari_fcn.data import samples

    _, truth = samples.blobs()
    painted = samples.strokes(truth, 12)
    painted[[z for z in range(len(truth)) if z not in (1, 3, 6)]] = 0
    return [*blobs(), _strokes(painted, "cell strokes", **_BLOBS)]


_BLOBS = {"scale": (2.0, 0.5, 0.5), "units": ("micrometer",) * 3}


def _strokes(painted: Any, name: str, **options: Any) -> LayerData:
    metadata = {"napari_fcn": "strokes"}
    return painted, {"name": name, "metadata": metadata, **options}, "labels"
