"""Follow a training run through its events, and stop it when it is good enough."""

import napari_fcn as fcn
from napari_fcn.data import samples
from napari_fcn.engine.events import Event, Scored
from napari_fcn.engine.train import CancelToken
from napari_fcn.engine.trainer import Trainer

image, truth = samples.blobs(slices=2, size=128)
cancel = CancelToken()


def watch(event: Event, trainer: Trainer | None) -> None:
    """Print each score, and stop when it is high."""
    if isinstance(event, Scored):
        print(f"step {event.step}: Dice {event.score:.2f}, {event.per_class}")
        if event.score > 0.9:
            cancel.cancel()  # ends at the next step; the best weights are returned


model = fcn.train(
    image,
    samples.strokes(truth, number=18),
    steps=60,
    network=fcn.NetworkConfig(width=8, depth=2),
    callback=watch,
    cancel=cancel,
)
print("trained", model.config.training)
