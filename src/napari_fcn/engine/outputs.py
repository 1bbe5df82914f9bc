"""What a model's output is turned into: labels, probabilities, densities, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from napari_fcn.config import HETEROSCEDASTIC
from napari_fcn.engine.density_losses import densities
from napari_fcn.engine.image_losses import LOG_VARIANCE
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_fcn.config import ClassInfo, ModelConfig
    from napari_fcn.data.normalisation import Normalisation

Output = Literal["labels", "probabilities", "density", "image", "deviation"]

_BY_TASK: dict[str, tuple[Output, ...]] = {
    "segmentation": ("labels", "probabilities"),
    "density": ("density",),
    "regression": ("image", "deviation"),
}


def choose_output(config: ModelConfig, wanted: str | None = None) -> Output:
    """Return what is wanted, or what a model of this task gives by default.

    Raises
    ------
    UserError
        If a model of this task cannot give it.
    """
    possible = _BY_TASK.get(config.task, ())
    if config.task == "regression" and not has_deviation(config):
        if wanted == "deviation":
            raise UserError(
                "The model does not know how far it may be off; ask for image, or "
                f"train one with the loss {HETEROSCEDASTIC}."
            )
        possible = ("image",)
    for output in possible:
        if wanted is None or output == wanted:
            return output
    if not possible:
        raise UserError(f"Models for {config.task} cannot predict; choose another one.")
    raise UserError(
        f"The model is for {config.task}, which gives {' or '.join(possible)}, not "
        f"{wanted}; ask for that, or choose another model."
    )


def has_deviation(config: ModelConfig) -> bool:
    """Tell whether a model knows how far its images may be off."""
    return config.regression is not None and config.regression.spread


def output_channels(config: ModelConfig, output: Output) -> int | None:
    """Return the length of the first axis of an output; None where it has none."""
    if output == "labels":
        return None
    if output == "probabilities":
        return len(config.classes)
    names = channel_names(config)
    return len(names) if len(names) > 1 else None


def channel_names(config: ModelConfig) -> tuple[str, ...]:
    """Return what the channels of densities, images or their deviations show."""
    if config.regression is not None:
        return tuple(o.name for o in config.regression.outputs)
    return tuple(c.name for c in config.classes)


def output_dtype(config: ModelConfig, output: Output) -> np.dtype[Any]:
    """Return the type of an output's values."""
    if output == "labels":
        return output_values(config.classes).dtype
    return np.dtype(np.float32)


def output_values(classes: tuple[ClassInfo, ...]) -> NDArray[np.integer[Any]]:
    """Return the number in predicted labels for each output channel."""
    values = np.array([c.output for c in classes], dtype=np.int64)
    dtype = np.uint8 if values.max(initial=0) < 256 else np.uint16
    return values.astype(dtype if values.max(initial=0) < 65536 else np.uint32)


def labels_from_logits(
    logits: torch.Tensor, classes: tuple[ClassInfo, ...]
) -> NDArray[np.integer[Any]]:
    """Return the painted number of the likeliest class, 0 for background."""
    return output_values(classes)[logits.argmax(0).numpy()]


def density_from_output(
    output: torch.Tensor, config: ModelConfig
) -> NDArray[np.float32]:
    """Return objects per pixel, (K, *spatial) float32."""
    assert config.density is not None
    units = torch.tensor(config.density.units)
    values = densities(output) * units.view(-1, *[1] * (output.ndim - 1))
    result: NDArray[np.float32] = values.numpy()
    return result


def images_from_output(
    output: torch.Tensor, config: ModelConfig, normalisation: Normalisation
) -> NDArray[np.float32]:
    """Return images in the units of the target, (K, *spatial) float32.

    Parameters
    ----------
    output : Tensor
        (K, *spatial), or with the logarithms of variances behind that.
    config : ModelConfig
        Of a regression model.
    normalisation : Normalisation
        Of the image, for models whose outputs are in its units.
    """
    regression = config.regression
    assert regression is not None
    count = len(regression.outputs)
    if regression.of_the_image:
        offset, scale = normalisation.offset, 1 / normalisation.gain
    else:
        offset = np.array([o.offset for o in regression.outputs], np.float32)
        scale = np.array([o.scale for o in regression.outputs], np.float32)
    view = (-1,) + (1,) * (output.ndim - 1)
    values = output[:count].numpy() * scale.reshape(view) + offset.reshape(view)
    return values.astype(np.float32)


def deviations_from_output(
    output: torch.Tensor, config: ModelConfig
) -> NDArray[np.float32]:
    """Return by how much images may be off, in the units of the target.

    Parameters
    ----------
    output : Tensor
        (2 K, *spatial): K images, then the logarithms of their variances.
    config : ModelConfig
        Of a regression model that has them; see `has_deviation`.

    Returns
    -------
    ndarray
        (K, *spatial) float32, the standard deviation that is expected of the
        difference between target and image.
    """
    assert config.regression is not None
    outputs = config.regression.outputs
    log_variance = output[len(outputs) :].clamp(-LOG_VARIANCE, LOG_VARIANCE)
    scale = torch.tensor([o.scale for o in outputs])
    spread = (0.5 * log_variance).exp() * scale.view(-1, *[1] * (output.ndim - 1))
    result: NDArray[np.float32] = spread.numpy()
    return result


def values_of(
    output: torch.Tensor,
    config: ModelConfig,
    kind: Output,
    normalisation: Normalisation,
) -> NDArray[Any]:
    """Turn what the network puts out into what is wanted.

    Parameters
    ----------
    output : Tensor
        (K, *spatial) float32, on the CPU.
    config : ModelConfig
        Of the model.
    kind : str
        What is wanted; see `choose_output`.
    normalisation : Normalisation
        Of the image.

    Returns
    -------
    ndarray
        (*spatial), or with a first axis as long as `output_channels` says.
    """
    if kind == "labels":
        return labels_from_logits(output, config.classes)
    if kind == "probabilities":
        result: NDArray[Any] = torch.softmax(output, 0).numpy()
        return result
    if kind == "density":
        values = density_from_output(output, config)
    elif kind == "deviation":
        values = deviations_from_output(output, config)
    else:
        values = images_from_output(output, config, normalisation)
    return values if output_channels(config, kind) else values[0]
