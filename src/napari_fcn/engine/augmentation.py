"""Random variations of training crops, in batched torch on the crops' own device.

Geometry (flips, rotation, zoom, smooth elastic displacement) is one resampling, so
that the image is interpolated only once. It acts in the plane of the last two axes:
in 3D the sections are folded into the channels, which is exact for such maps, needs no
interpolation between sections of another spacing, and runs wherever 2D runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from napari_fcn.engine.losses import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_fcn.config.training import AugmentationConfig

BLUR_PROBABILITY = 0.3
NOISE_PROBABILITY = 0.5
MIN_SPACING = 16.0
"""Smallest distance in pixels between the nodes of the elastic displacement."""
SPACING_PER_PIXEL = 10.0
"""Distance between nodes per pixel of displacement: steeper maps would fold over."""
CUBIC_SHRINKAGE = 6 / 7
"""Standard deviation of noise after cubic interpolation, in 2D, relative to its nodes:
the mean over all positions of the squared weights of torch's kernel (a = -0.75)."""


@dataclass(frozen=True)
class Geometry:
    """One random map per sample; warps whatever belongs to the same crops.

    Attributes
    ----------
    grid : Tensor or None
        float32 (N, Y, X, 2), where each pixel is taken from, as `grid_sample` wants
        it; None leaves the plane as it is.
    mirrored : Tensor or None
        bool (N,), samples whose first spatial axis is reversed (3D only).
    """

    grid: Tensor | None = None
    mirrored: Tensor | None = None

    def warp(self, image: Tensor) -> Tensor:
        """Resample linearly; outside of the crop the image is mirrored.

        Parameters
        ----------
        image : Tensor
            float32 (N, C, *spatial).

        Returns
        -------
        Tensor
            float32 (N, C, *spatial).
        """
        return self._apply(image, "bilinear", "reflection")

    def warp_target(self, target: Tensor) -> Tensor:
        """Take the nearest pixel; outside of the crop nothing is annotated.

        Parameters
        ----------
        target : Tensor
            int64 (N, *spatial), classes up to 2^24 - 2 (exact in float32).

        Returns
        -------
        Tensor
            int64 (N, *spatial).
        """
        if self.grid is None:
            return self._mirror(target)
        # shifted, so that the zeros which grid_sample pads with mean IGNORE
        shifted = (target - IGNORE).float().unsqueeze(1)
        return self._apply(shifted, "nearest", "zeros").squeeze(1).long() + IGNORE

    def warp_density(self, density: Tensor) -> Tensor:
        """Resample so that the integral over a region moves along with the region.

        Each pixel is multiplied by how much of the original it covers, the determinant
        of the map's derivative.

        Parameters
        ----------
        density : Tensor
            float32 (N, C, *spatial).

        Returns
        -------
        Tensor
            float32 (N, C, *spatial).
        """
        warped = self.warp(density)
        if self.grid is None:
            return warped
        areas = _areas(self.grid)
        return warped * areas.view(
            len(areas), *[1] * (density.ndim - 3), *areas.shape[1:]
        )

    def _apply(self, values: Tensor, mode: str, padding: str) -> Tensor:
        if self.grid is not None:
            folded = _fold(values)
            folded = F.grid_sample(folded, self.grid, mode, padding, False)
            values = folded.view(values.shape)
        return self._mirror(values)

    def _mirror(self, values: Tensor) -> Tensor:
        if self.mirrored is None:
            return values
        axis = values.ndim - 3
        return torch.where(_over(self.mirrored, values), values.flip(axis), values)


class Augmenter:
    """Varies batches of crops; the same seed gives the same variations.

    Parameters
    ----------
    config : AugmentationConfig
        What to vary, and how much.
    ndim : int
        Number of spatial axes, 2 or 3.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    device : torch.device or str
        Where the crops are; small random numbers are drawn on the CPU and moved.
    places : int
        How many of the last channels are coordinates, which move with the pixels but
        are no intensities.

    Raises
    ------
    ValueError
        If `ndim` is neither 2 nor 3.
    """

    def __init__(
        self,
        config: AugmentationConfig,
        ndim: int,
        generator: torch.Generator,
        device: torch.device | str,
        places: int = 0,
    ) -> None:
        if ndim not in (2, 3):
            raise ValueError(f"crops have 2 or 3 spatial axes, not {ndim}")
        self.config = config
        self.ndim = ndim
        self.generator = generator
        self.device = torch.device(device)
        self.places = places

    @torch.no_grad()
    def __call__(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Vary image and target together; the arguments stay as they are.

        Parameters
        ----------
        image : Tensor
            float32 (N, C, *spatial).
        target : Tensor
            int64 (N, *spatial), `IGNORE` where not annotated.

        Returns
        -------
        image, target : Tensor
            Same shapes and dtypes.

        Raises
        ------
        ValueError
            If the shapes do not match `ndim` or each other.
        """
        if image.ndim != self.ndim + 2 or image[:, 0].shape != target.shape:
            raise ValueError(
                f"image {tuple(image.shape)} and target {tuple(target.shape)} are "
                f"not crops with {self.ndim} spatial axes"
            )
        geometry = self.geometry(image)
        return self.vary_intensity(geometry.warp(image)), geometry.warp_target(target)

    def geometry(self, image: Tensor) -> Geometry:
        """Draw a map for each sample.

        Use it directly for targets that are images themselves: warp them with the
        same `Geometry` as the image.

        Parameters
        ----------
        image : Tensor
            (N, C, *spatial); only its shape matters.

        Returns
        -------
        Geometry
            The maps, on this augmenter's device.
        """
        n, size = len(image), (image.shape[-2], image.shape[-1])
        config = self.config
        mirrored = None
        if config.flip and self.ndim == 3:
            mirrored = self._chance(0.5, n).to(self.device)
        if not (config.flip or config.rotate or config.scale or config.elastic):
            return Geometry(None, mirrored)
        x, y = (_centres(edge, self.device) for edge in reversed(size))
        by_x, by_y = self._linear(n, size).to(self.device)[..., None, None].unbind(2)
        grid = by_x * x + by_y * y.unsqueeze(1)
        if config.elastic:
            grid = grid + self._displacement(n, size)
        return Geometry(grid.permute(0, 2, 3, 1), mirrored)

    def vary_intensity(self, image: Tensor) -> Tensor:
        """Vary contrast (about the mean of each channel), brightness, blur, noise.

        Each channel varies by itself, too, where the settings say so, since stains
        differ from slide to slide (Tellez et al. 2019, "Quantifying the effects
        of data augmentation and stain color normalization in convolutional neural
        networks for computational pathology").

        Parameters
        ----------
        image : Tensor
            float32 (N, C, *spatial).

        Returns
        -------
        Tensor
            float32 (N, C, *spatial).
        """
        return self._without_places(self._vary, image)

    @property
    def varies_channels(self) -> bool:
        """Whether `vary_light` varies each channel by itself, if there are several."""
        config = self.config
        return config.each_channel and bool(config.contrast or config.brightness)

    @torch.no_grad()
    def vary_light(self, image: Tensor) -> Tensor:
        """Vary contrast and brightness only, as `vary_intensity` does.

        Parameters
        ----------
        image : Tensor
            float32 (N, C, *spatial).

        Returns
        -------
        Tensor
            float32 (N, C, *spatial).
        """
        return self._without_places(self._vary_light, image)

    def _without_places(
        self, vary: Callable[[Tensor], Tensor], image: Tensor
    ) -> Tensor:
        """Vary an image, but not the coordinates that it may end with."""
        if not self.places:
            return vary(image)
        seen, places = image[:, : -self.places], image[:, -self.places :]
        return torch.cat([vary(seen), places], 1)

    def _vary(self, image: Tensor) -> Tensor:
        image = self._vary_light(image)
        if self.config.blur:
            image = self._blur(image)
        if self.config.noise:
            image = self._add_noise(image)
        return image

    def _vary_light(self, image: Tensor) -> Tensor:
        """Vary all channels alike, and then each by itself."""
        channels = image.shape[1]
        image = self._other_light(image, 1)
        if channels > 1 and self.config.each_channel:
            image = self._other_light(image, channels)
        return image

    def _other_light(self, image: Tensor, lights: int) -> Tensor:
        """Draw one contrast and brightness for all channels of a sample, or each."""
        n, config = len(image), self.config
        shape = (n, lights, *(1,) * (image.ndim - 2))
        if config.contrast:
            factor = self._uniform(-config.contrast, config.contrast, n * lights).exp()
            mean = image.mean(tuple(range(2, image.ndim)), keepdim=True)
            image = mean.lerp(image, factor.view(shape).to(self.device))
        if config.brightness:
            shift = self._uniform(-config.brightness, config.brightness, n * lights)
            image = image + shift.view(shape).to(self.device)
        return image

    def _linear(self, n: int, size: tuple[int, int]) -> Tensor:
        """Inverse maps (N, 2, 2) in the normalised coordinates (x, y) of torch."""
        config = self.config
        half_turn = math.pi if config.rotate else 0.0
        angle = self._uniform(-half_turn, half_turn, n)
        limit = math.log1p(config.scale)
        zoom = self._uniform(-limit, limit, n).exp()
        cos, sin = zoom * angle.cos(), zoom * angle.sin()
        matrix = torch.stack((cos, -sin, sin, cos), 1).view(n, 2, 2)
        if config.flip:
            signs = 1 - 2 * self._chance(0.5, 2 * n).float()
            matrix = matrix * signs.view(n, 1, 2)
        # a rotation of pixels is a shear of normalised coordinates unless square
        edges = torch.tensor([size[1], size[0]], dtype=torch.float32)
        return matrix * edges / edges.unsqueeze(1)

    def _displacement(self, n: int, size: tuple[int, int]) -> Tensor:
        """Smooth noise (N, 2, Y, X) in the normalised coordinates (x, y) of torch.

        Random shifts on a coarse grid, interpolated cubically, as for the U-Net
        (Ronneberger et al. 2015, section 3.1).
        """
        sigma = self.config.elastic
        spacing = max(MIN_SPACING, SPACING_PER_PIXEL * sigma)
        nodes = [math.ceil(edge / spacing) + 1 for edge in size]
        coarse = torch.randn(n, 2, *nodes, generator=self.generator)
        edges = torch.tensor([size[1], size[0]], dtype=torch.float32)
        unit = 2 * sigma / CUBIC_SHRINKAGE / edges
        coarse = (coarse * unit.view(1, 2, 1, 1)).to(self.device)
        return F.interpolate(coarse, size, mode="bicubic", align_corners=True)

    def _blur(self, image: Tensor) -> Tensor:
        """Gaussian blur in the plane of some of the samples."""
        chosen = self._some(BLUR_PROBABILITY, len(image))
        if not len(chosen):
            return image
        sigma = self._uniform(0, self.config.blur, len(chosen)).to(self.device)
        chosen = chosen.to(self.device)
        return image.index_copy(0, chosen, gaussian_blur(image[chosen], sigma))

    def _add_noise(self, image: Tensor) -> Tensor:
        """Gaussian noise on some of the samples."""
        chosen = self._some(NOISE_PROBABILITY, len(image))
        if not len(chosen):
            return image
        shape = (len(chosen), *image.shape[1:])
        noise = torch.randn(shape, generator=self.generator)
        noise *= _over(self._uniform(0, self.config.noise, len(chosen)), noise)
        return image.index_add(0, chosen.to(self.device), noise.to(self.device))

    def _uniform(self, low: float, high: float, n: int) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.generator)

    def _chance(self, probability: float, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator) < probability

    def _some(self, probability: float, n: int) -> Tensor:
        """Choose each sample with this probability; returns their indices."""
        return self._chance(probability, n).nonzero().squeeze(1)


def gaussian_blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Blur each sample in the plane with its own Gaussian; edges are repeated.

    Parameters
    ----------
    image : Tensor
        float32 (N, C, *spatial).
    sigma : Tensor
        float32 (N,), standard deviations in pixels; 0 leaves a sample as it is.

    Returns
    -------
    Tensor
        float32 (N, C, *spatial).
    """
    folded = _fold(image)
    n, channels, *size = folded.shape
    radius = math.ceil(3 * float(sigma.max()))
    offsets = torch.arange(-radius, radius + 1, device=image.device)
    # the floor turns sigma = 0 into a kernel of one pixel instead of 0 / 0
    kernel = (-0.5 * (offsets / sigma.clamp(min=1e-3).unsqueeze(1)) ** 2).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)
    kernel = kernel.repeat_interleave(channels, 0)
    out = folded.reshape(1, n * channels, *size)
    out = F.pad(out, (radius,) * 4, mode="replicate")
    out = F.conv2d(out, kernel[:, None, :, None], groups=n * channels)
    out = F.conv2d(out, kernel[:, None, None, :], groups=n * channels)
    return out.view(image.shape)


def _centres(edge: int, device: torch.device) -> Tensor:
    """Centres of pixels from -1 to 1, as without `align_corners`, (edge,)."""
    return (2 * torch.arange(edge, device=device) + 1) / edge - 1


def _areas(grid: Tensor) -> Tensor:
    """Pixels of the original in each pixel of a warped image, (N, Y, X)."""
    size = torch.tensor([grid.shape[2], grid.shape[1]], device=grid.device)
    along_y, along_x = torch.gradient(grid * size / 2, dim=(1, 2))
    determinant = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
    return determinant.abs()


def _fold(values: Tensor) -> Tensor:
    """(N, C, *spatial) as (N, channels and sections, Y, X)."""
    return values.reshape(len(values), -1, *values.shape[-2:])


def _over(per_sample: Tensor, values: Tensor) -> Tensor:
    """(N,) shaped to broadcast against (N, ...)."""
    return per_sample.view(-1, *(1,) * (values.ndim - 1))
