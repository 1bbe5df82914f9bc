"""The public Python interface."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import numpy as np
import pytest

import napari_fcn as fcn
from napari_fcn.data import samples

SMALL = fcn.NetworkConfig(width=4, depth=1)
QUICK = fcn.TrainingConfig(crop=32, batch=4)


def test_all_public_names_exist_and_importing_is_light():
    for name in fcn.__all__:
        assert getattr(fcn, name) is not None
    assert set(fcn.__all__) <= set(dir(fcn))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fcn.nothing  # noqa: B018
    code = (
        "import sys, napari_fcn; "
        "assert not {'torch', 'napari', 'qtpy', 'zarr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_predict_save_load(tmp_path):
    image, truth = samples.blobs(2, 64)
    painted = samples.strokes(truth, 18)
    model = fcn.train(image, painted, steps=15, network=SMALL, config=QUICK)
    predicted = model.predict(image)
    assert predicted.shape == truth.shape
    assert set(np.unique(predicted)) <= {0, 2, 3}
    model.save(tmp_path / "m.safetensors")
    again = fcn.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(image), predicted)
    lazy = again.predict(da.from_array(image, chunks=(1, 64, 64)))
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(lazy.compute(), predicted)
    assert fcn.receptive_field(again.network, 2).size == again.receptive_field.size


@pytest.mark.parametrize("place", [0, -1])
def test_labels_tell_where_the_channels_are(place):
    image, truth = samples.blobs(1, 64)
    two = np.stack([image[0], 255 - image[0]], axis=place)
    model = fcn.train(
        [two], [samples.strokes(truth)[0]], steps=2, network=SMALL, config=QUICK
    )
    assert model.config.network.in_channels == 2


def test_what_does_not_fit_is_said():
    image, truth = samples.blobs(1, 32)
    with pytest.raises(fcn.UserError, match=r"one\s+for each image"):
        fcn.train([image, image], [truth])
    with pytest.raises(fcn.UserError, match="not known"):
        fcn.train(image, truth, task="magic")
    with pytest.raises(fcn.UserError, match="Nothing is painted"):
        fcn.train(image, truth * 0, steps=1)
    with pytest.raises(fcn.UserError, match="shape"):
        fcn.train(image, truth[:, :16], steps=1)


def test_unet_is_public():
    import torch

    network = fcn.UNet(fcn.NetworkConfig(in_channels=3, out_channels=4, width=4))
    assert network(torch.zeros(1, 3, 64, 48)).shape == (1, 4, 64, 48)
