"""The manifest: everything it names is there, and reading it is light."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManifest

SAMPLES = ("tissue", "tissue_with_strokes", "blobs", "blobs_with_strokes")


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_distribution("napari-fcn")


def test_every_command_is_there(manifest):
    commands = manifest.contributions.commands
    assert len(commands) == 11
    for command in commands:
        module, name = command.python_name.split(":")
        assert hasattr(__import__(module, fromlist=[name]), name)


def test_the_menu_imports_neither_torch_nor_qt():
    code = (
        "import sys\n"
        "from npe2 import PluginManifest\n"
        "import napari_fcn\n"
        "manifest = PluginManifest.from_distribution('napari-fcn')\n"
        "import napari_fcn.widgets.sample_data, napari_fcn.widgets.reader\n"
        "heavy = {'torch', 'qtpy', 'PyQt6', 'napari'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_open(name):
    from napari_fcn.widgets import sample_data

    viewer = ViewerModel()
    for data, options, kind in getattr(sample_data, name)():
        getattr(viewer, f"add_{kind}")(data, **options)
    marked = [x for x in viewer.layers if x.metadata.get("napari_fcn") == "strokes"]
    assert bool(marked) == name.endswith("strokes")
    for layer in marked:
        values = np.unique(layer.data)
        assert {0, 1, 2} <= set(values)
        assert (np.asarray(layer.data) > 0).mean() < 0.05


def test_a_file_is_read_with_its_scale(tmp_path):
    from napari_fcn.data.axes import Axes
    from napari_fcn.export.masks import write_array
    from napari_fcn.widgets.reader import get_reader

    path = tmp_path / "a.tif"
    axes = Axes.of("ZYX", (2.0, 0.5, 0.25), "micrometer")
    write_array(path, np.zeros((3, 8, 9), np.uint8), axes)
    data, options, kind = get_reader(str(path))(str(path))[0]
    layer = getattr(ViewerModel(), f"add_{kind}")(data, **options)
    assert tuple(layer.scale) == pytest.approx((2.0, 0.5, 0.25))
    assert [str(u) for u in layer.units] == ["micrometer"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert get_reader([str(path)]) is None
