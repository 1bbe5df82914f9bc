"""Train on a painted array, predict a lazy stack, save and load the model."""

import tempfile
from pathlib import Path

import dask.array as da

import napari_fcn as fcn
from napari_fcn.data import samples

image, truth = samples.blobs(slices=4, size=128)  # generated cells
painted = samples.strokes(truth, number=18)  # 0 is not annotated

model = fcn.train(image, painted, steps=40, network=fcn.NetworkConfig(width=8, depth=2))

masks = model.predict(image)  # numpy in, numpy out; background is 0
print("classes in the masks:", sorted({int(v) for v in masks.flat}))

lazy = model.predict(
    da.from_array(image, chunks=(1, -1, -1))
)  # nothing is computed yet
print("lazy:", lazy)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.safetensors"
    model.save(path)
    again = fcn.load(path)
    print("the same:", bool((again.predict(image) == masks).all()))
    print("one pixel sees", again.receptive_field.size, "pixels")
