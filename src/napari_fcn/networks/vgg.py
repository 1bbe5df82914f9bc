"""The convolutions of VGG-16, from which FCN and SegNet are built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fcn.networks.blocks import ConvBlock

if TYPE_CHECKING:
    from napari_fcn.config import NetworkConfig


def stage_convolutions(depth: int) -> list[int]:
    """Return the number of convolutions before each pooling.

    Two in the first two stages and three in the others: network D of Simonyan &
    Zisserman 2015, "Very deep convolutional networks for large-scale image
    recognition", table 1.
    """
    return [2 if level < 2 else 3 for level in range(depth)]


def stage_channels(config: NetworkConfig) -> list[int]:
    """Return the channels of each stage: w, 2 w, 4 w, 8 w, 8 w; w = 64 in VGG-16."""
    return [config.width * 2 ** min(level, 3) for level in range(config.depth)]


def encoder_stages(config: NetworkConfig) -> list[ConvBlock]:
    """Build the stages of the encoder, without the poolings between them.

    Parameters
    ----------
    config : NetworkConfig
        Dimension, channels, ``width``, ``depth`` and batch norm.
    """
    channels = stage_channels(config)
    parts = zip(
        [config.input_channels, *channels[:-1]],
        channels,
        stage_convolutions(config.depth),
        strict=True,
    )
    return [
        ConvBlock(
            inputs,
            outputs,
            (3,) * config.ndim,
            batch_norm=config.batch_norm,
            convolutions=convolutions,
        )
        for inputs, outputs, convolutions in parts
    ]
