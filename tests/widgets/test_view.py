"""Which part of an image is on the screen, however the viewer is turned."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_fcn.data.axes import Axes
from napari_fcn.data.store import ChunkStore
from napari_fcn.widgets.broadcast import ChannelBroadcast
from napari_fcn.widgets.view import visible

WHOLE = (slice(0, 20), slice(0, 30))


def show(shape, **options):
    viewer = ViewerModel()
    layer = Labels(np.zeros(shape, np.uint8), **options)
    viewer.add_layer(layer)
    return viewer, layer


def zoom(layer, low, high):
    """Leave a corner of the layer on the canvas, as drawing it would."""
    corners = np.zeros((2, layer.ndim), int)
    corners[0, -2:], corners[1, -2:] = low, high
    layer.corner_pixels = corners


def test_a_plane():
    viewer, layer = show((20, 30))
    found = visible(viewer, layer, Axes.of("YX"), 2)
    assert (found.sample, found.region) == ((), WHOLE)
    zoom(layer, (3, 4), (9, 11))
    found = visible(viewer, layer, Axes.of("YX"), 2)
    assert found.region == (slice(3, 10), slice(4, 12))


def test_the_slice_that_is_shown_is_the_sample():
    viewer, layer = show((5, 20, 30), scale=(2.0, 0.5, 0.25), translate=(7, -3, 11))
    viewer.dims.set_current_step(0, 3)
    found = visible(viewer, layer, Axes.of("ZYX"), 2)
    assert (found.sample, found.region) == ((3,), WHOLE)


def test_a_3d_network_sees_the_current_slice_of_a_stack():
    viewer, layer = show((4, 5, 20, 30))
    viewer.dims.current_step = (2, 3, 0, 0)
    found = visible(viewer, layer, Axes.of("TZYX"), 3)
    assert (found.sample, found.region) == ((2,), (slice(3, 4), *WHOLE))


def test_a_stack_in_3d_is_seen_as_a_whole():
    viewer, layer = show((5, 20, 30))
    viewer.dims.set_current_step(0, 3)
    viewer.dims.ndisplay = 3
    found = visible(viewer, layer, Axes.of("ZYX"), 3)
    assert (found.sample, found.region) == ((), (slice(0, 5), *WHOLE))
    flat = visible(viewer, layer, Axes.of("ZYX"), 2)
    assert (flat.sample, flat.region) == ((3,), WHOLE)


def test_rolled_axes():
    viewer, layer = show((5, 20, 30))
    viewer.dims.order = (2, 0, 1)  # Z and Y are shown, at one X
    viewer.dims.set_current_step(2, 12)
    volume = visible(viewer, layer, Axes.of("ZYX"), 3)
    assert volume.region == (slice(0, 5), slice(0, 20), slice(12, 13))
    viewer.dims.order = (0, 2, 1)
    viewer.dims.set_current_step(0, 4)
    turned = visible(viewer, layer, Axes.of("ZYX"), 2)
    assert (turned.sample, turned.region) == ((4,), WHOLE)


def test_axes_in_any_order():
    viewer, layer = show((30, 4, 20))
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_current_step(1, 2)
    found = visible(viewer, layer, Axes.of("XTY"), 2)
    assert (found.sample, found.region) == ((2,), WHOLE)


@pytest.mark.parametrize(
    ("skip", "names", "shape", "step", "sample"),
    [
        (1, "TYX", (4, 20, 30), (2, 1, 0, 0), (2,)),
        (1, "TZYX", (4, 5, 20, 30), (2, 1, 3, 0, 0), (2, 3)),
        (2, "TZYX", (4, 5, 20, 30), (2, 3, 1, 0, 0), (2, 3)),
    ],
)
def test_channels_inside_are_left_out(tmp_path, skip, names, shape, step, sample):
    store = ChunkStore.create(tmp_path / "a.zarr", shape, "uint8")
    layer = Labels(ChannelBroadcast(store, skip, 3))
    viewer = ViewerModel()
    viewer.add_layer(layer)
    viewer.dims.current_step = step
    found = visible(viewer, layer, Axes.of(names), 2, skip)
    assert (found.sample, found.region) == (sample, WHOLE)


def test_leading_axes_that_only_other_layers_have():
    viewer, layer = show((20, 30))
    viewer.add_image(np.zeros((3, 20, 30)))
    viewer.dims.set_current_step(0, 2)
    zoom(layer, (3, 4), (9, 11))
    found = visible(viewer, layer, Axes.of("YX"), 2)
    assert (found.sample, found.region) == ((), (slice(3, 10), slice(4, 12)))


def test_beside_the_layer_the_nearest_slice_counts():
    viewer, layer = show((5, 20, 30))
    viewer.add_image(np.zeros((5, 20, 30)), translate=(40, 0, 0))
    viewer.dims.set_point(0, 44)
    assert visible(viewer, layer, Axes.of("ZYX"), 2).sample == (4,)


def test_layers_in_other_units():
    viewer, layer = show((5, 20, 30), scale=(2, 1, 1), units=("micrometer",) * 3)
    viewer.add_image(np.zeros((50, 9, 9)), units=("nanometer",) * 3)
    viewer.dims.set_point(0, 6000)  # the viewer counts in nanometers now
    assert visible(viewer, layer, Axes.of("ZYX"), 2).sample == (3,)
    viewer.add_image(np.zeros((5, 9, 9)))  # pixels are no lengths: napari gives up
    assert viewer.dims.units is None
    viewer.dims.set_point(0, 4)
    assert visible(viewer, layer, Axes.of("ZYX"), 2).sample == (2,)


def test_what_is_drawn_in_a_real_window(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(np.zeros((5, 200, 300), np.uint8))
    viewer.dims.set_current_step(0, 1)
    axes = Axes.of("ZYX")
    camera = getattr(viewer, "scene", viewer).camera
    whole = (slice(0, 200), slice(0, 300))
    qtbot.waitUntil(lambda: visible(viewer, layer, axes, 2).region == whole)
    camera.zoom *= 8
    camera.center = (0, 150, 200)

    def is_near():
        rows, columns = visible(viewer, layer, axes, 2).region
        return rows.start > 50 and columns.start > 80 and columns.stop < 290

    qtbot.waitUntil(is_near)
    rows, columns = visible(viewer, layer, axes, 2).region
    assert rows.start < 150 < rows.stop
    assert columns.start < 200 < columns.stop
    viewer.dims.ndisplay = 3
    everything = (slice(0, 5), *whole)
    qtbot.waitUntil(lambda: visible(viewer, layer, axes, 3).region == everything)
