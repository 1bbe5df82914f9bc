"""Counting: the integral of a density map is the number of objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fcn.config import (
    ClassInfo,
    CountError,
    DensityConfig,
    ModelConfig,
    NormalisationConfig,
    usual_augmentation,
)
from napari_fcn.data.annotations import PIECES_NEEDED, Annotations, LabelledImage
from napari_fcn.data.density import DotTargets, pieces_of, widths_of
from napari_fcn.data.normalisation import common_range
from napari_fcn.engine.box_turns import BoxTurns, Turn
from napari_fcn.engine.count_error import CountPairs
from napari_fcn.engine.density_losses import DensityLoss, box_error, densities
from napari_fcn.engine.dihedral import vary_both_exactly
from napari_fcn.engine.events import AREAS, MEAN_ERROR
from napari_fcn.engine.overlay import lay_over
from napari_fcn.engine.tasks.base import (
    SCORE_CROPS,
    Score,
    Task,
    common_channels,
    with_channels,
)
from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fcn.config import AugmentationConfig, NetworkConfig, TrainingConfig
    from napari_fcn.data.annotations import SampleKey
    from napari_fcn.data.dots import CountedBox, DottedImage
    from napari_fcn.engine.augmentation import Augmenter
    from napari_fcn.engine.tasks.base import Predict

    _Numbered = tuple[int, CountedBox]

REGION = ClassInfo(value=1, name="annotated region")
"""What stands in the regions array where every object has a dot."""
DEFAULT_LOSS = "l2+counts"
_FEW, _LARGE, _LARGE_FROM = 2, (256, 256), 192
"""How many crops of how many pixels, where areas of at least so many are dotted."""
_ERROR_CROPS, _BOX_CROPS = 32, 64
"""How many are counted for the error of counts: of areas, and of boxes."""
_LARGEST_GAIN = 2.0
_UNSEEN_BIAS = 0.1
"""By how much of its count an image is off, as a standard deviation, where small areas
of others are all that was learned from; measured on images of cells."""


@dataclass(frozen=True)
class Batch:
    """The targets of a batch: crops first, then pieces of a box with a count.

    Attributes
    ----------
    density : Tensor
        float32 (N, K, *spatial), in units of the peaks.
    seen : Tensor
        float32 (N, 1, *spatial), 1 where annotated; 0 in the pieces.
    inside : Tensor, optional
        float32 (M, 1, *spatial), 1 inside of the box, for the last M of the batch.
    turn : Turn, optional
        Whose pieces they are.
    """

    density: Tensor
    seen: Tensor
    inside: Tensor | None = None
    turn: Turn | None = None


class Density(Task):
    """One density map per class; the score is one minus the relative error of counts.

    Parameters
    ----------
    images : sequence of DottedImage
        What was dotted.
    classes : sequence of ClassInfo
        One per output channel.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train.

    Attributes
    ----------
    images : list of DottedImage
        What was dotted, as it is now.
    error : CountError, optional
        How far counts were from the truth when it was scored last.

    Raises
    ------
    UserError
        If there is no dot, or images differ in their channels.
    """

    def __init__(
        self,
        images: Sequence[DottedImage],
        classes: Sequence[ClassInfo],
        config: TrainingConfig,
        network: NetworkConfig,
    ) -> None:
        channels = common_channels([item.image for item in images])
        self.images = list(images)
        self.seed = config.seed
        self._loss = DensityLoss.of(config.loss_for(DEFAULT_LOSS))
        regions = [_regions(item) for item in images]
        self._whole_samples = sum(map(_annotated_samples, regions)) >= PIECES_NEEDED
        self.annotations = Annotations(
            regions,
            [REGION],
            held_out=config.held_out,
            seed=config.seed,
            whole_samples=self._whole_samples,
        )
        widths = widths_of(images, classes, config.object_sizes)
        self._targets = DotTargets(images, classes, self.annotations, widths)
        self._require_dots(classes)
        self.config = ModelConfig(
            task="density",
            network=with_channels(network, channels, len(classes)),
            normalisation=_normalisation(images),
            classes=tuple(classes),
            density=DensityConfig(widths=widths),
        )
        self._sort_boxes()
        self.error: CountError | None = None
        self._peaks = torch.tensor(self._density.peaks)

    @property
    def targets(self) -> DotTargets:
        """Density maps and where they are known."""
        return self._targets

    @property
    def _density(self) -> DensityConfig:
        assert self.config.density is not None
        return self.config.density

    def resume(self, config: ModelConfig) -> bool:
        """Go on with a model of an earlier run, in its units."""
        if config.density is None or not super().resume(config):
            return False
        self.config = self.config.model_copy(update={"density": config.density})
        self._peaks = torch.tensor(self._density.peaks)
        return True

    def refresh(self, number: int, samples: Collection[tuple[int, ...]] | None) -> None:
        """Take over what was annotated meanwhile on an image."""
        self.annotations.refresh(number, samples)
        self._targets.refresh(number)
        self._sampler.refresh()

    def replace(self, number: int, item: DottedImage) -> None:
        """Take over what was dotted, drawn or counted meanwhile on an image."""
        self.images[number] = self._targets.images[number] = item
        self.annotations.images[number] = _regions(item)
        self._sort_boxes()
        self.refresh(number, None)

    def usual_crops(self) -> tuple[int, tuple[int, ...]]:
        """Return few large crops where large areas are dotted.

        A crop's border cuts objects and what tells how many they are; large crops have
        less of it.
        """
        if self.config.network.ndim == 2 and self._areas_are_large():
            return _FEW, _LARGE
        return super().usual_crops()

    def usual_augmentation(self) -> AugmentationConfig:
        """Return variations that keep brightness, but where small areas are dotted."""
        return usual_augmentation("density", little=not self._areas_are_large())

    def _areas_are_large(self) -> bool:
        return any(
            (np.ptp(places, axis=0)[-2:] >= _LARGE_FROM).all()
            for _, places in self.annotations.by_class(held=False)[0]
        )

    def batch(
        self, size: int, crop: Sequence[int], augment: Augmenter, device: torch.device
    ) -> tuple[Tensor, Batch]:
        """Draw crops, and the pieces of one of the boxes with a count."""
        crops = self._sampler.draw(size, crop)
        image, target = _varied(
            torch.from_numpy(crops.image).to(device),
            torch.from_numpy(crops.target).to(device),
            augment,
        )
        batch = Batch(target[:, :-1] / self._per_channel(target), target[:, -1:])
        if len(self._turns):
            image, batch = self._with_box(image, batch, crop)
        return augment.vary_intensity(image), batch

    def loss(self, output: Tensor | tuple[Tensor, ...], target: Batch) -> Tensor:
        """Return the loss that the settings name, and that of the box."""
        if isinstance(output, tuple):
            # The finest last: what that finds in the pieces of a box is remembered.
            losses = [self.loss(one, target) for one in reversed(output)][::-1]
            shares = [2.0**-level for level in range(len(losses))]
            terms = [s * x for s, x in zip(shares, losses, strict=True)]
            return torch.stack(terms).sum() / sum(shares)
        density, n = densities(output), len(target.density)
        peaks = self._peaks.to(density.device)
        loss = self._loss(density[:n], target.density, target.seen, peaks)
        if target.inside is None or target.turn is None:
            return loss
        sums = (density[n:] * target.inside).flatten(2).sum(2) * peaks
        return loss + 0.1 * self._box_error(sums, target.turn)

    def _box_error(self, sums: Tensor, turn: Turn) -> Tensor:
        """Compare the count of a box with that of its pieces, (M, K), and the others.

        Until all of them were seen, nothing is compared.
        """
        self._turns.remember(turn, sums.detach().float().cpu().numpy())
        others, known = turn.others, self._counts(turn.box)
        whole = sums.sum(0) + torch.from_numpy(np.nan_to_num(others)).to(sums)
        known[np.isnan(others)] = np.nan
        return box_error(whole, torch.from_numpy(known).to(sums))

    def score(self, predict: Predict, crop: Sequence[int], *, held: bool) -> Score:
        """Return 1 - sum of |count errors| / number of objects.

        Over the areas that are for testing, if there are any: the details then have
        the mean absolute error of their counts, and how many there are. Else over a
        few crops.
        """
        names = [c.name for c in self.config.classes]
        details = {}
        pairs = self._compare_areas(predict, crop)
        if held and len(pairs):
            errors = dict(zip(names, pairs.mean_absolute_error(), strict=True))
            details = {f"{MEAN_ERROR} {n}": float(e) for n, e in errors.items()}
            details[AREAS] = float(len(pairs))
        else:
            pairs = CountPairs(len(names))
            for image, target in self._score_crops(crop, held=held):
                pairs.add(*self._sums(predict, image, target))
        self.error = self._widened(pairs.error(held=held))
        accuracy = dict(zip(names, pairs.accuracy(), strict=True))
        parts = {n: float(a) for n, a in accuracy.items() if np.isfinite(a)}
        value = float(np.mean(list(parts.values()))) if parts else 0.0
        return Score(value, parts, details)

    def unscored(self) -> str:
        """Say that nothing could be held out."""
        if not self.annotations.unscored_classes():
            return ""
        return (
            "The annotated region is too small to keep a part of it for scoring: the "
            "score and the uncertainty of counts are on what the network has learned."
        )

    def finish(
        self, config: ModelConfig, predict: Predict, crop: Sequence[int]
    ) -> ModelConfig:
        """Set the gains by what was learned, and measure the error of counts."""
        learned = self._compare(predict, crop, held=False)
        known = learned.joined(self._compare_boxes(predict, crop, self._boxes))
        gains = known.gains(_LARGEST_GAIN)
        held = not self.annotations.unscored_classes()
        tested = self._compare(predict, crop, held=True) if held else learned
        density = self._density.model_copy(
            update={
                "gains": tuple(gains.tolist()),
                "error": self._widened(tested.error(held=held, gains=gains)),
            }
        )
        return config.model_copy(update={"density": density})

    def _widened(self, error: CountError) -> CountError:
        """Add what nothing that is annotated can tell: how images differ."""
        if self._whole_samples or self._areas_are_large():
            return error
        bias = math.hypot(error.bias, _UNSEEN_BIAS)
        return error.model_copy(update={"bias": bias})

    def _compare(
        self, predict: Predict, crop: Sequence[int], *, held: bool
    ) -> CountPairs:
        """Count pieces of what is annotated, seen with what lies around them."""
        pairs = CountPairs(len(self.config.classes))
        for key, piece in self._scored_pieces(crop, held=held):
            truth, found, _ = self._count_piece(predict, key, piece, crop, held=held)
            pairs.add(truth, found, key)
        return pairs

    def _compare_areas(self, predict: Predict, crop: Sequence[int]) -> CountPairs:
        """Count the areas that are for testing, of large ones some pieces."""
        areas = [
            (key, area)
            for key, _ in self.annotations.by_class(held=True)[0]
            for area in self.annotations.images[key[0]].testing_in(key[1])
        ]
        pairs = self._compare_boxes(predict, crop, self._tested_boxes)
        for key, area in areas:
            pieces = pieces_of(area, crop)
            every = -(-len(pieces) // max(1, SCORE_CROPS // len(areas)))
            counted = [
                self._count_piece(predict, key, piece, crop, held=True)
                for piece in pieces[::every]
            ]
            if any(pixels for _, _, pixels in counted):
                truths, found, _ = zip(*counted, strict=True)
                pairs.add(np.sum(truths, 0), np.sum(found, 0), key)
        return pairs

    def _count_piece(
        self,
        predict: Predict,
        key: SampleKey,
        piece: tuple[slice, ...],
        crop: Sequence[int],
        *,
        held: bool,
    ) -> tuple[NDArray[Any], NDArray[Any], int]:
        """Return true and predicted counts, and how many pixels are annotated."""
        centre = [(s.start + s.stop) // 2 for s in piece]
        wide = self._wide(key[0], crop)
        image, box = self._sampler.read_image(key, centre, wide)
        target = self._sampler.read_target(key, box, wide, held=held)
        target[-1] *= _inside(piece, box, target.shape[1:])
        truth, found = self._sums(predict, image, target)
        return truth, found, int(target[-1].sum())

    def _compare_boxes(
        self, predict: Predict, crop: Sequence[int], boxes: Sequence[_Numbered]
    ) -> CountPairs:
        """Count boxes whose counts are known, as many as there is time for."""
        pairs = CountPairs(len(self.config.classes))
        left = _BOX_CROPS
        for number, box in boxes:
            pieces = pieces_of(box.region, crop)
            if len(pieces) > left:
                continue
            left -= len(pieces)
            found = np.zeros(len(self.config.classes))
            for piece in pieces:
                wide = self._wide(number, crop)
                found += self._integral(
                    predict, *self._read_piece(number, box, piece, wide)
                )
            truth = self._counts(box)
            unknown = np.isnan(truth)
            truth[unknown] = found[unknown] = 0
            pairs.add(truth, found, (number, box.sample))
        return pairs

    def _wide(self, number: int, crop: Sequence[int]) -> list[int]:
        """Return edges of a crop that shows what lies around a piece of an image.

        As far as the image goes: the border of a crop is none of an image.
        """
        shape = self._targets.spatial_shape(number)
        return [2 * c if 2 * c <= n else c for c, n in zip(crop, shape, strict=True)]

    def _scored_pieces(
        self, crop: Sequence[int], *, held: bool
    ) -> Iterator[tuple[SampleKey, tuple[slice, ...]]]:
        """Yield sample and parts that cover what is annotated there."""
        left = _ERROR_CROPS
        for key, places in self.annotations.by_class(held=held)[0]:
            low, high = places.min(0), places.max(0) + 1
            box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            for piece in pieces_of(box, crop)[:left]:
                left -= 1
                yield key, piece

    def _sums(
        self, predict: Predict, image: NDArray[Any], target: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return true and predicted counts of what is annotated in a crop."""
        axes = tuple(range(1, target.ndim))
        found = self._integral(predict, image, target[-1])
        return (target[:-1] * target[-1]).sum(axes), found

    def _integral(
        self, predict: Predict, image: NDArray[Any], inside: NDArray[Any]
    ) -> NDArray[Any]:
        """Return predicted counts, (K,), of what is inside in a crop."""
        density = densities(predict(image)).numpy()
        axes = tuple(range(1, density.ndim))
        found: NDArray[Any] = (density * inside).sum(axes)
        return found * np.array(self._density.peaks)

    def _counts(self, box: CountedBox) -> NDArray[np.float32]:
        """Return what is known of a box, (K,); NaN where a count is not known."""
        counts = [box.counts.get(c.value, np.nan) for c in self.config.classes]
        return np.array(counts, np.float32)

    def _with_box(
        self, image: Tensor, batch: Batch, crop: Sequence[int]
    ) -> tuple[Tensor, Batch]:
        """Add pieces of the next box to a batch."""
        turn = self._turns.next(crop)
        read = [
            self._read_piece(turn.number, turn.box, piece, crop)
            for piece in turn.pieces
        ]
        images, insides = (np.stack(arrays) for arrays in zip(*read, strict=True))
        device = image.device
        inside = torch.from_numpy(insides[:, np.newaxis]).to(device)
        joined = torch.cat([image, torch.from_numpy(images).to(device)])
        return joined, Batch(batch.density, batch.seen, inside, turn)

    def _read_piece(
        self,
        number: int,
        box: CountedBox,
        piece: tuple[slice, ...],
        crop: Sequence[int],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read a crop around a piece of a box, and which of its pixels are of it."""
        centre = [(s.start + s.stop) // 2 for s in piece]
        content, region = self._sampler.read_image((number, box.sample), centre, crop)
        return content, _inside(piece, region, content.shape[1:])

    def _sort_boxes(self) -> None:
        """Learn from boxes with counts, but not where something is for testing."""
        self._boxes: list[_Numbered] = []
        self._tested_boxes: list[_Numbered] = []
        for number, item in enumerate(self.images):
            for box in item.boxes:
                areas = self.annotations.images[number].testing_in(box.sample)
                tested = any(_overlap(box.region, area) for area in areas)
                kind = self._tested_boxes if tested else self._boxes
                kind.append((number, box))
        self._turns = BoxTurns(self._boxes, len(self.config.classes))

    def _per_channel(self, like: Tensor) -> Tensor:
        return self._peaks.to(like.device).view(-1, *[1] * (like.ndim - 2))

    def _require_dots(self, classes: Sequence[ClassInfo]) -> None:
        if not classes or not sum(self._targets.count()):
            raise UserError(
                "There is no dot in an annotated region; put one on each object of a "
                "region."
            )
        counts = self._targets.count()
        missing = [c.name for c, n in zip(classes, counts, strict=True) if not n]
        if missing:
            raise UserError(
                f"There is no dot of {' or '.join(map(repr, missing))} in an annotated "
                "region; put one on each object, or leave that class out."
            )


def _normalisation(images: Sequence[DottedImage]) -> NormalisationConfig:
    """Let one range hold for all images: brightness tells how many objects there are.

    Percentiles of an image of its own would depend on how much of it is covered.
    """
    usual = NormalisationConfig()
    common = common_range([item.image for item in images], usual)
    return usual.model_copy(update={"common": common})


def _varied(image: Tensor, target: Tensor, augment: Augmenter) -> tuple[Tensor, Tensor]:
    """Move crops and their targets, (N, K + 1, *spatial) as `DotTargets` has them.

    Where nothing is zoomed or bent they are flipped and turned by quarters only: what
    is interpolated is smoother than the images to be counted later. Then some of them
    have the next one, turned once more, laid over.
    """
    if not (augment.config.scale or augment.config.elastic):
        config, generator = augment.config, augment.generator
        image, target = vary_both_exactly(image, target, config, generator)
        if not config.overlay:
            return image, target
        draws = torch.rand(len(image), generator=generator)
        others = vary_both_exactly(
            image.roll(1, 0), target.roll(1, 0), config, generator
        )
        both, target = lay_over(image, target, others, draws < config.overlay)
        channels = image.shape[1] - augment.places  # coordinates stay
        return torch.cat([both[:, :channels], image[:, channels:]], 1), target
    geometry = augment.geometry(image)
    density = geometry.warp_density(target[:, :-1])
    seen = geometry.warp_target(target[:, -1].long() - 1).unsqueeze(1) + 1
    return geometry.warp(image), torch.cat([density, seen.float()], 1)


def _regions(item: DottedImage) -> LabelledImage:
    regions = item.annotated()
    if isinstance(regions, np.ndarray) and item.regions is not None:
        regions = (regions != 0).astype(np.uint8)
    return LabelledImage(item.image, regions, dense=True, testing=item.testing)


def _annotated_samples(regions: LabelledImage) -> int:
    """Return in how many samples something is annotated."""
    axes, ndim = regions.image.label_axes, regions.image.ndim
    spatial = axes.spatial(ndim)
    return int(np.asarray(regions.labels).any(axis=spatial).sum())


def _overlap(one: tuple[slice, ...], other: tuple[slice, ...]) -> bool:
    return all(
        a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True)
    )


def _inside(
    piece: tuple[slice, ...], box: tuple[slice, ...], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return 1 in what of a crop, whose first pixel is that of a box, is a piece."""
    inside = np.zeros(shape, np.float32)
    starts = [
        (s.start - b.start, s.stop - b.start) for s, b in zip(piece, box, strict=True)
    ]
    inside[tuple(slice(a, b) for a, b in starts)] = 1
    return inside
