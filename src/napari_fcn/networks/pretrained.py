"""A U-Net whose encoder was trained on photographs (the extra ``encoders``).

The encoders are those of the library timm. It is imported only when such a network is
built, and nothing is downloaded before `load_pretrained` is called; `load_encoder`
takes a file in place of that.
"""

from __future__ import annotations

import importlib
import importlib.util
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_fcn.errors import UserError
from napari_fcn.networks.any_size import AnySize
from napari_fcn.networks.blocks import CONV, UP_CONV, ConvBlock, CoverageChannel
from napari_fcn.networks.encoder_weights import read_weights, start_encoder

if TYPE_CHECKING:
    from napari_fcn.config import NetworkConfig

_MEAN, _DEVIATION = 0.45, 0.225
"""Of photographs scaled to 0 .. 1, over the three colours."""


def encoders_installed() -> bool:
    """Tell whether the library of encoders is there, without importing it."""
    return importlib.util.find_spec("timm") is not None


class PretrainedUNet(AnySize):
    """A ResNet as encoder (He et al. 2016) and the decoder of a padded U-Net.

    The encoder's five levels have 2 to 32 times larger pixels than the image; two
    convolutions on the image itself make the finest level. Weights are random until
    `load_pretrained` or `load_encoder` is called.

    Parameters
    ----------
    config : NetworkConfig
        Channels, ``width`` of the decoder, ``encoder`` and batch norm of the decoder.

    Raises
    ------
    UserError
        If the library of encoders is not installed, or in 3D.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        if config.ndim != 2:
            raise UserError(
                "Encoders trained on photographs are for 2D; choose the network unet."
            )
        norm, inputs = config.batch_norm, config.input_channels
        self.coverage = CoverageChannel()
        self.encoder = _encoder(config.encoder, inputs, pretrained=False)
        found = self.encoder.feature_info.channels()
        widths = [config.width * 2**level for level in range(len(found))]
        self.finest = ConvBlock(inputs + 1, config.width, (3, 3), batch_norm=norm)
        self.up = nn.ModuleList(
            UP_CONV[2](lower, upper, 2, 2)
            for upper, lower in pairwise([*widths, found[-1]])
        )
        skips = [config.width, *found[:-1]]
        self.decoder = nn.ModuleList(
            ConvBlock(skip + width, width, (3, 3), batch_norm=norm)
            for skip, width in zip(skips, widths, strict=True)
        )
        self.head = CONV[2](config.width, config.out_channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (N, in_channels, ...) to logits (N, out_channels, ...)."""
        kept = [self.finest(self.coverage(image))]
        kept += self.encoder((image - _MEAN) / _DEVIATION)
        features = kept[-1]
        for level in reversed(range(len(self.up))):
            joined = torch.cat([kept[level], self.up[level](features)], dim=1)
            features = self.decoder[level](joined)
        logits: torch.Tensor = self.head(features)
        return logits


def load_pretrained(network: nn.Module) -> str:
    """Give a fresh network the weights that its encoder learned on photographs.

    Parameters
    ----------
    network : nn.Module
        Of any kind; changed in place if it has such an encoder.

    Returns
    -------
    str
        One sentence about what was loaded; empty if there is nothing to load.

    Raises
    ------
    UserError
        If the weights can neither be found on this computer nor downloaded.
    """
    if not isinstance(network, PretrainedUNet):
        return ""
    name = network.config.encoder
    try:
        trained = _encoder(name, 3, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The weights of {name} could not be downloaded ({error}); connect to the "
            "internet once, or choose a network without them."
        ) from error
    start_encoder(network.encoder, trained.state_dict(), network.config.in_channels)
    return f"The encoder starts from {name}, trained on the photographs of ImageNet."


def load_encoder(network: nn.Module, path: Path | str) -> str:
    """Give a fresh network the weights of its encoder that are in a file.

    Parameters
    ----------
    network : nn.Module
        With such an encoder; changed in place.
    path : path
        As for `read_weights`: weights of the same ResNet, learned on anything.

    Returns
    -------
    str
        One sentence about what was loaded.

    Raises
    ------
    UserError
        If the network has no encoder, or the file does not hold its weights.
    """
    if not isinstance(network, PretrainedUNet):
        raise UserError(
            "Only the network unet-pretrained starts from the weights of an encoder; "
            "choose that network, or leave the file of weights out."
        )
    path = Path(path)
    name, channels = network.config.encoder, network.config.in_channels
    unfit = start_encoder(network.encoder, read_weights(path), channels)
    if unfit:
        raise UserError(
            f"{path.name} does not hold the weights of {name} ({unfit} tensors are "
            "missing, of another size or not finite); choose the file of that encoder, "
            "or the encoder of that file."
        )
    return f"The encoder starts from the weights of {name} in {path.name}."


def start_pretrained(network: nn.Module) -> str:
    """Load what an encoder has learned, or say that it starts from nothing.

    Parameters
    ----------
    network : nn.Module
        Of any kind; changed in place if it has such an encoder.

    Returns
    -------
    str
        What was loaded or why not; empty if there is nothing to load.
    """
    try:
        return load_pretrained(network)
    except UserError as error:
        return f"{error} For now its encoder starts from nothing."


def _encoder(name: str, channels: int, *, pretrained: bool) -> Any:
    if not encoders_installed():
        raise UserError(
            "Encoders trained on photographs need the package timm; install it with: "
            "pip install 'napari-fcn[encoders]'"
        )
    timm = importlib.import_module("timm")
    return timm.create_model(
        name, pretrained=pretrained, features_only=True, in_chans=channels
    )
