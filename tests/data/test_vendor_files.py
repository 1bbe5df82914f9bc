"""Files as microscopes write them; skipped where that folder is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_fcn.data.readers import open_image

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "vendor_files"
FILES = {
    "czi/CellDivision_T3_Z5_CH2_X240_Y170.czi": (
        "TCZYX",
        (3, 2, 5, 170, 240),
        {"Z": 0.32, "Y": 0.0906, "X": 0.0906},
    ),
    "czi/LLS7_small.czi": ("TCZYX", (2, 2, 3, 64, 64), {"Y": 0.145, "X": 0.145}),
    "czi/DAPI_GFP.czi": ("CYX", (2, 640, 640), {}),
    "czi/WellD6_S1.czi": ("YX", (440, 544), {"Y": 0.1, "X": 0.1}),
    "czi/Fluorescence_RGB.tif": ("YXS", (272, 275, 3), {}),
    "czi/FOV7_HV110_P0500510000.ome.tiff": ("YX", (512, 512), {}),
    "nd2/cluster.nd2": ("TZCYX", (3, 10, 2, 31, 38), {"Z": 0.5, "X": 0.168}),
    "lif/xz-example.lif": (
        "YCZX",
        (23, 2, 128, 128),
        {"Y": 0.229, "Z": 0.14, "X": 0.14},
    ),
    "tif/hela-cells.tif": ("YXS", (512, 672, 3), {"Y": 0.0515, "X": 0.0515}),
    "omezarr/v04/test_image_czyx.zarr": (
        "CZYX",
        (2, 3, 64, 64),
        {"Z": 2.0, "Y": 0.5, "X": 0.5},
    ),
    "omezarr/v04/test_image_tcyx.zarr": ("TCYX", (4, 2, 64, 64), {"T": 4.0}),
}
READERS = {".czi": "czifile", ".nd2": "nd2", ".lif": "liffile"}


@pytest.mark.parametrize("name", FILES)
def test_axes_and_scale_are_those_of_the_file(name):
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no {path}: real files are not part of the project")
    if path.suffix in READERS:
        pytest.importorskip(READERS[path.suffix])
    names, shape, scale = FILES[name]
    opened = open_image(path)
    assert opened.axes.names == names
    assert opened.data.shape == shape
    for axis, step in scale.items():
        assert opened.axes.scale[names.index(axis)] == pytest.approx(step, rel=0.01)
    pixels = np.asarray(opened.data)
    assert pixels.shape == shape
    assert np.isfinite(pixels).all()
