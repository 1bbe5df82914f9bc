"""The configuration saved in the header of every model file."""

from __future__ import annotations

from math import inf
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from napari_fcn.config.base import Frozen
from napari_fcn.config.classes import ClassInfo
from napari_fcn.config.network import NetworkConfig
from napari_fcn.config.outputs import DensityConfig, RegressionConfig
from napari_fcn.config.usual import plain_network, without_unused

Task = Literal["segmentation", "instances", "density", "regression"]


class IntensityRange(Frozen):
    """The range of many images taken alike, per channel.

    Attributes
    ----------
    dtype : str
        Number type of the images, such as "uint8".
    low, high : tuple of float
        The intensities that become 0 and 1, one per channel.
    """

    dtype: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    @model_validator(mode="after")
    def _high_is_above_low(self) -> IntensityRange:
        if not self.low or len(self.low) != len(self.high):
            raise ValueError("there must be a low and a high intensity per channel")
        if not all(
            -inf < a < b < inf for a, b in zip(self.low, self.high, strict=True)
        ):
            raise ValueError("the low intensity must be below the high one")
        return self


class NormalisationConfig(Frozen):
    """How intensities are brought to a common range, per channel.

    Every image is shifted and scaled by its own percentiles, measured once over
    the whole image and never per tile, so that tiling stays exact. The sections of a
    stack that is learned in 2D, and time points, may be shifted each by its own median
    besides.

    Attributes
    ----------
    lower, upper : float
        The percentiles that become 0 and 1.
    common : IntensityRange, optional
        The same for all images that are taken alike: where brightness itself tells
        something.
    aligned : float
        By how much of the range the median of a sample may be moved, at the most, to
        that of the whole image.
    """

    lower: float = Field(default=1.0, ge=0, lt=100)
    upper: float = Field(default=99.5, gt=0, le=100)
    common: IntensityRange | None = None
    aligned: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> NormalisationConfig:
        if self.lower >= self.upper:
            raise ValueError("the lower percentile must be below the upper one")
        return self


class ModelConfig(Frozen):
    """Everything but the weights that a prediction needs.

    Attributes
    ----------
    format : int
        Version of this format.
    task : str
        What the output means.
    network : NetworkConfig
        What the network is built from.
    normalisation : NormalisationConfig
        What happens to an image before it enters the network.
    classes : tuple of ClassInfo
        One per output channel, in order; empty for regression.
    density : DensityConfig, optional
        The scale of the output, for counting.
    regression : RegressionConfig, optional
        The channels of the output, for regression.
    training : dict
        How it came about (steps, seconds, score); free of absolute paths.
    """

    format: Literal[1] = 1
    task: Task = "segmentation"
    network: NetworkConfig = Field(default=NetworkConfig(), validate_default=True)
    normalisation: NormalisationConfig = NormalisationConfig()
    classes: tuple[ClassInfo, ...] = ()
    density: DensityConfig | None = None
    regression: RegressionConfig | None = None
    training: dict[str, Any] = Field(default_factory=dict)

    @field_validator("network", mode="after")
    @classmethod
    def _as_it_can_be(
        cls, network: NetworkConfig, info: ValidationInfo
    ) -> NetworkConfig:
        task = str(info.data.get("task"))
        return without_unused(plain_network(network), task)

    @model_validator(mode="after")
    def _classes_differ(self) -> ModelConfig:
        for numbers in (
            [c.value for c in self.classes],
            [c.output for c in self.classes],
        ):
            if len(set(numbers)) < len(numbers):
                raise ValueError("two classes have the same number")
        return self

    @model_validator(mode="after")
    def _a_channel_per_class(self) -> ModelConfig:
        if self.task in ("segmentation", "density") and (
            len(self.classes) != self.network.out_channels
        ):
            raise ValueError(
                f"{len(self.classes)} classes do not fit "
                f"{self.network.out_channels} output channels"
            )
        return self

    @model_validator(mode="after")
    def _the_output_has_a_meaning(self) -> ModelConfig:
        channels = self.network.out_channels
        if self.task == "density" and (
            self.density is None
            or len(self.density.widths) != channels
            or any(len(w) != self.network.ndim for w in self.density.widths)
        ):
            raise ValueError("a density model needs a width per class and axis")
        if self.task == "regression" and (
            self.regression is None or self.regression.channels != channels
        ):
            raise ValueError("a regression model needs to know its output channels")
        return self
