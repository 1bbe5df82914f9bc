"""Weights of an encoder from a file on this computer, read without running code.

What libraries save of a ResNet is a dictionary of tensors under the names of its
layers, as safetensors or as a state dict of PyTorch. The layers of torchvision and of
timm have the same names.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_fcn.errors import UserError
from napari_fcn.networks.blocks import for_channels

if TYPE_CHECKING:
    from torch import nn

_WRAPPERS = ("state_dict", "model")
"""Under which names training programs keep the weights beside other things."""
_PREFIXES = ("", "module.", "encoder.", "backbone.")
"""What such programs put before the names of layers."""
_COUNTER = "num_batches_tracked"
"""Of batch norm; old files do not have it, and nothing depends on it."""


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors file or a state dict of PyTorch.

    Parameters
    ----------
    path : path
        The file; ``*.safetensors``, or what `torch.save` wrote of a state dict.

    Returns
    -------
    dict of str to Tensor
        On the CPU, under the names in the file.

    Raises
    ------
    UserError
        If there is no such file, or it holds something else. Objects other than
        tensors and plain containers are refused, so that no code is run.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file with weights at {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # of how a file was pickled: it is read, or not
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
    ) as error:
        raise UserError(_no_weights(path)) from error
    weights = _unwrapped(content)
    if weights is None:
        raise UserError(_no_weights(path))
    return weights


def start_encoder(encoder: nn.Module, weights: dict[str, Tensor], channels: int) -> int:
    """Copy the weights of an encoder, whatever it saw before had three colours.

    The channels of other images take turns in being red, green and blue; one alone is
    all three. Channels that are not of the image, such as coordinates, have no weight
    at first.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place, if all fits.
    weights : dict of str to Tensor
        By the names of its layers; others, such as a last layer for classes, are not
        used.
    channels : int
        How many of its input channels are of the image; these come first.

    Returns
    -------
    int
        How many tensors are missing, of another size, or not finite; with any of them
        nothing is changed.
    """
    mine = encoder.state_dict()
    names = [name for name in mine if not name.endswith(_COUNTER)]
    prefix = max(_PREFIXES, key=lambda p: sum(p + name in weights for name in names))
    found: dict[str, Tensor] = {}
    for name in names:
        tensor = weights.get(prefix + name)
        fitted = None if tensor is None else _fitted(tensor, mine[name], channels)
        if fitted is not None:
            found[name] = fitted
    unfit = len(names) - len(found)
    if not unfit:
        with torch.no_grad():
            for name, tensor in found.items():
                mine[name].copy_(tensor)
    return unfit


def _fitted(weight: Tensor, wanted: Tensor, channels: int) -> Tensor | None:
    """Return a tensor of the wanted shape, or None where that cannot be."""
    if wanted.ndim == weight.ndim == 4 and weight.shape[1] == 3:  # the first layer
        weight = for_channels(weight.float(), channels, wanted.shape[1] - channels)
    fits = weight.shape == wanted.shape and bool(weight.isfinite().all())
    return weight if fits else None


def _unwrapped(content: Any) -> dict[str, Tensor] | None:
    """Return the tensors in what `torch.load` gave, or None if there are none."""
    if not isinstance(content, dict):
        return None
    for name in _WRAPPERS:
        if isinstance(content.get(name), dict):
            content = content[name]
    return {k: v for k, v in content.items() if isinstance(v, Tensor)} or None


def _no_weights(path: Path) -> str:
    return (
        f"{path.name} holds no weights that can be read; choose a .safetensors file, "
        "or a state dict that PyTorch has saved."
    )
