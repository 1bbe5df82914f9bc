"""The live view reads and writes what is looked at now, whatever it had open before."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from napari_fcn.config import ClassInfo, ModelConfig, NetworkConfig
from napari_fcn.data.axes import Axes
from napari_fcn.engine.device import choose_compute
from napari_fcn.engine.model import Model
from napari_fcn.networks import build_network
from napari_fcn.project import Project
from napari_fcn.project.image import AxesRecord
from napari_fcn.workbench.images import add_image
from napari_fcn.workbench.live import LiveNetwork, LiveView
from napari_fcn.workbench.protocol import Look

AXES = Axes.of("ZYX")
PIXELS, OTHER = np.random.default_rng(0).random((2, 2, 40, 40), np.float32)
ALL = (slice(0, 40), slice(0, 40))
CLASSES = (
    ClassInfo(value=1, name="background", background=True),
    ClassInfo(value=2, name="cell"),
)


def random_model(seed):
    """A network with random weights, which sees both classes in noise.

    All have the same normalisation config.
    """
    torch.manual_seed(seed)
    config = NetworkConfig(width=4, depth=1, out_channels=2)
    network = build_network(config).eval()
    with torch.no_grad():
        network.head.bias -= network(torch.rand(1, 1, 40, 40)).mean((0, 2, 3))
    return Model(ModelConfig(network=config, classes=CLASSES), network)


@pytest.fixture
def model():
    return random_model(0)


@pytest.fixture
def view():
    return LiveView(lambda _: None)


def project_of(folder, pixels, path=None):
    """A project with one image, and that image."""
    project = Project.create(folder)
    image, _ = add_image(project, pixels, AXES, "cells", path)
    return project, image


def show(view, project, image, model):
    """Look at the second slice until all of it is predicted; returns what is on disk.

    It is opened anew, as the window does.
    """
    view.look(Look(project.folder, image, 2, (1,), ALL))
    network = LiveNetwork(model, choose_compute("cpu", "float32"), 10, learning=False)
    while view.tick(network):
        pass
    return shown(project, image)


def shown(project, image):
    return image.prediction(project.folder)[1]


def predicted(model, pixels, axes="ZYX"):
    """What it has to be; both classes are there, so that it says something."""
    labels = model.predict(pixels, axes=axes, device="cpu")[1]
    assert len(np.unique(labels)) == 2
    return labels


def test_images_of_two_projects_may_have_the_same_key(view, model, tmp_path):
    first, image = project_of(tmp_path / "first", PIXELS)
    second, other = project_of(tmp_path / "second", OTHER)
    assert image == other  # all that is different is the folder
    before, after = predicted(model, PIXELS), predicted(model, OTHER)
    assert (before != after).any()
    np.testing.assert_array_equal(show(view, first, image, model), before)
    np.testing.assert_array_equal(show(view, second, other, model), after)
    np.testing.assert_array_equal(shown(first, image), before)
    np.testing.assert_array_equal(show(view, first, image, model), before)


def test_a_project_that_was_moved_is_written_where_it_is_now(view, model, tmp_path):
    project, image = project_of(tmp_path / "cells", PIXELS)
    before = show(view, project, image, model)
    (tmp_path / "disk").mkdir()
    shutil.move(project.folder, tmp_path / "disk")
    moved = Project.open(tmp_path / "disk" / project.folder.name)
    assert moved.record.images == (image,)
    learned = random_model(1)
    after = show(view, moved, image, learned)
    np.testing.assert_array_equal(after, predicted(learned, PIXELS))
    assert (before != after).any()
    assert not project.folder.exists()


def test_an_image_that_was_linked_anew_is_read_from_its_file(view, model, tmp_path):
    one, two = tmp_path / "one.npy", tmp_path / "two.npy"
    np.save(one, PIXELS)
    np.save(two, OTHER)
    project, image = project_of(tmp_path / "cells", PIXELS, one)
    before = show(view, project, image, model)
    np.testing.assert_array_equal(before, predicted(model, PIXELS))
    after = show(view, project, project.relink(image.key, two), model)
    np.testing.assert_array_equal(after, predicted(model, OTHER))
    assert (before != after).any()


def test_an_image_whose_axes_were_corrected_is_read_by_them(view, model, tmp_path):
    project, image = project_of(tmp_path / "cells", PIXELS)
    before = show(view, project, image, model)
    record = AxesRecord.of(Axes.of("ZXY"))
    project.replace_image(image.model_copy(update={"axes": record}))
    after = show(view, project, project.image(image.key), model)
    np.testing.assert_array_equal(after, predicted(model, PIXELS, "ZXY"))
    assert (before != after).any()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Cells of today"},
        {"dense": True},
        {"testing": (((0, 1), (0, 9), (0, 9)),)},
        {"axes": AxesRecord.of(Axes.of("ZYX", (3.0, 0.5, 0.5), "µm", (0.0, 7.0, 7.0)))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_matter_for_reading_has_nothing_read_anew(
    view, model, tmp_path, change
):
    project, image = project_of(tmp_path / "cells", PIXELS)
    before = show(view, project, image, model)
    scene = view._scene
    changed = image.model_copy(update=change)
    assert changed != image
    np.testing.assert_array_equal(show(view, project, changed, model), before)
    assert view._scene is scene


@pytest.mark.parametrize(
    "change",
    [
        {"key": "cells-2"},
        {"path": "images/others.zarr"},
        {"near": "../cells.zarr"},
        {"kind": "file"},
        {"axes": AxesRecord.of(Axes.of("ZXY"))},
        {"shape": (2, 40, 41)},
        {"fingerprint": "0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_matters_for_reading_makes_another_origin(tmp_path, change):
    project, image = project_of(tmp_path / "cells", PIXELS)
    found = image.origin(project.folder)
    assert found == image.origin(project.folder)
    assert found != image.model_copy(update=change).origin(project.folder)
    assert found != image.origin(tmp_path)
