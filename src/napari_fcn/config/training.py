"""The settings of a training run; the window's form is built from these fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_fcn.config.base import Frozen

Precision = Literal["auto", "float32", "bfloat16", "float16"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


class AugmentationConfig(Frozen):
    """How crops are varied while training. Zero switches an ingredient off.

    Attributes
    ----------
    flip : bool
        Mirror along each spatial axis with probability one half.
    rotate : bool
        Rotate in the plane: by any angle for segmentation, and for counting if crops
        are zoomed or bent, too; else by quarter turns, which interpolate nothing.
    scale : float
        Zoom by a factor between 1 / (1 + scale) and 1 + scale.
    elastic : float
        Standard deviation in pixels of the smooth random displacement.
    brightness, contrast : float
        Largest shift and log-factor of the normalised intensities.
    each_channel : bool
        Vary brightness and contrast of each channel by itself, too, by as much again.
    noise : float
        Largest standard deviation of added Gaussian noise.
    blur : float
        Largest standard deviation in pixels of a Gaussian blur.
    overlay : float
        For counting: share of the crops that another one is laid over, so that more
        crowded places are learned from, too; only if crops are neither zoomed nor bent.
    """

    flip: bool = True
    rotate: bool = True
    scale: float = Field(default=0.25, ge=0, le=1)
    elastic: float = Field(default=2.0, ge=0, le=20)
    brightness: float = Field(default=0.2, ge=0, le=2)
    contrast: float = Field(default=0.3, ge=0, le=2)
    each_channel: bool = True
    noise: float = Field(default=0.1, ge=0, le=2)
    blur: float = Field(default=1.0, ge=0, le=5)
    overlay: float = Field(default=0.0, ge=0, le=1)


_COUNTING = AugmentationConfig(
    scale=0,
    elastic=0,
    brightness=0,
    contrast=0,
    each_channel=False,
    noise=0.03,
    blur=0,
    overlay=0.5,
)


_COUNTING_FROM_LITTLE = _COUNTING.model_copy(
    update={"brightness": 0.15, "contrast": 0.15, "overlay": 0.0}
)


def usual_augmentation(task: str, *, little: bool = False) -> AugmentationConfig:
    """Return how crops are varied for a task unless the settings say otherwise.

    Less for counting: where objects lie on each other, how bright, how large and how
    sharp a spot is tells how many they are. But where little is annotated, it does not
    show all shades that empty places have, and brightness must not be relied upon.

    Parameters
    ----------
    task : str
        As in `ModelConfig`.
    little : bool
        Whether only small areas are annotated.
    """
    if task != "density":
        return AugmentationConfig()
    return _COUNTING_FROM_LITTLE if little else _COUNTING


class TrainingConfig(Frozen):
    """How a network is trained.

    Attributes
    ----------
    shipped : bool
        Whether a network starts from the weights that come with the package, where
        they fit.
    encoder_weights : str
        File with the weights that the encoder of ``unet-pretrained`` starts from; by
        default they are downloaded.
    loss : str
        Name in the registry of losses of the task; the default is that of
        segmentation, and stands for the default of other tasks, too.
    crop : int
        Edge of the training crops in pixels; by default (auto) what suits the task.
    batch : int
        Crops per step; by default (auto) what suits the task.
    learning_rate : float
        Peak learning rate of AdamW.
    weight_decay : float
        Decoupled weight decay of AdamW (Loshchilov & Hutter 2019).
    held_out : float
        Share of each class's strokes, or of dotted or trusted areas, that only scores
        the network.
    score_every : float
        Seconds between two scores on held-out strokes.
    precision : str
        ``auto`` takes bfloat16 where the hardware computes with it.
    device : str
        ``auto`` takes the GPU when there is one.
    seed : int
        Seed of weights, sampling and augmentation.
    object_sizes : tuple of float or None
        For counting: diameter of the objects of each class in pixels; from the spacing
        of the dots where it is not given.
    output_names : tuple of str
        For regression: what the channels of the target show; numbered by default.
    augmentation : AugmentationConfig, optional
        How crops are varied; by default as is usual for the task.
    """

    shipped: bool = True
    encoder_weights: str = ""
    loss: str = "ce+jaccard"
    crop: int | None = Field(default=None, ge=8, le=4096)
    batch: int | None = Field(default=None, ge=1, le=1024)
    learning_rate: float = Field(default=5e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    held_out: float = Field(default=0.15, ge=0, le=0.5)
    score_every: float = Field(default=3.0, gt=0)
    precision: Precision = "auto"
    device: DeviceName = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    object_sizes: tuple[float | None, ...] = ()
    output_names: tuple[str, ...] = ()
    augmentation: AugmentationConfig | None = None

    def loss_for(self, default: str) -> str:
        """Return the loss, or another default where it is that of segmentation."""
        chosen = self.loss
        return default if chosen == type(self).model_fields["loss"].default else chosen
