"""One training run, step by step: weights, their moving average, scores, the best."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch

from napari_fcn.config import see_alike
from napari_fcn.data.crops import fingerprint
from napari_fcn.data.normalisation import measure
from napari_fcn.engine.augmentation import Augmenter
from napari_fcn.engine.best import BestWeights
from napari_fcn.engine.checkpoint import Checkpoint, pack
from napari_fcn.engine.device import (
    choose_compute,
    free_cache,
    is_out_of_memory,
    memory_format,
)
from napari_fcn.engine.events import Scored
from napari_fcn.engine.head_solver import HeadSolver
from napari_fcn.engine.inputs import input_cache
from napari_fcn.engine.model import Model
from napari_fcn.engine.photo_solver import PhotoSolver, known_before
from napari_fcn.engine.schedule import (
    FLOOR,
    averaging_rate,
    learning_rate_factor,
    settling_factor,
)
from napari_fcn.engine.shares import HeldShares
from napari_fcn.engine.shipped import SHIPPED, start_from_shipped
from napari_fcn.engine.tasks import start_task
from napari_fcn.engine.tasks.base import DEFAULT_BATCH
from napari_fcn.engine.teacher import teacher_loss, trust
from napari_fcn.engine.tiling import round_up
from napari_fcn.engine.transfer import Transferred, transfer_weights
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network, receptive_field
from napari_fcn.networks.blocks import batch_norms
from napari_fcn.networks.pretrained import load_encoder, start_pretrained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_fcn.config import ClassInfo, ModelConfig, NetworkConfig, TrainingConfig
    from napari_fcn.engine.tasks import Task
    from napari_fcn.networks.unet import UNet

_Result = TypeVar("_Result")

_SMALLEST_CROP = 16
_MOST_FAULTS = 5
_MOMENTUM = 0.1


class Trainer:
    """A network in training.

    Parameters
    ----------
    images : sequence
        What was annotated; its kind decides the task (see `napari_fcn.engine.tasks`).
    classes : sequence of ClassInfo
        What is told apart.
    config : TrainingConfig
        How to train.
    network : NetworkConfig
        What to train; its channels are set from the images and classes.
    init : Model, optional
        What to start from.
    resume : Checkpoint, optional
        A run to go on with; where its network or classes differ from what is asked
        for now, its averaged weights are what to start from.
    on_message : callable, optional
        Told plain sentences.

    Raises
    ------
    UserError
        If there is nothing to learn from, or images differ in their channels.
    """

    def __init__(
        self,
        images: Sequence[Any],
        classes: Sequence[ClassInfo],
        config: TrainingConfig,
        network: NetworkConfig,
        *,
        init: Model | None = None,
        resume: Checkpoint | None = None,
        on_message: Callable[[str], None] | None = None,
    ) -> None:
        self._say = on_message or (lambda _: None)
        self.config = config
        network = _as_before(network, resume or init)
        self.task: Task = start_task(images, classes, config, network)
        self.resumed: Checkpoint | None = resume
        if resume is not None and not self.task.resume(resume.config):
            self.resumed, init = None, resume.model()
        self.model_config = self.task.config
        self.annotations = self.task.annotations
        sources = [item.image for item in images]
        normalisation = self.model_config.normalisation
        self.normalisations = [measure(s, normalisation) for s in sources]
        self._cache = input_cache(
            sources, self.normalisations, self.model_config.network
        )
        # A run that goes on must not see the crops it began with again.
        self._seed = config.seed + (self.resumed.step if self.resumed else 0)
        self.task.start(self._cache, self._seed)
        self.compute = choose_compute(config.device, config.precision)
        self._painted = self._count_painted()
        self._seen = fingerprint(self.task.targets)
        self._heads = HeadSolver(self.task)
        self._shares = HeldShares()
        self.step_number = 0
        taken = self._build(init)
        self._faults = 0
        self._settled = False
        self._best = BestWeights()
        if self.resumed is not None:
            self._restore(self.resumed)
        earlier, own = resume or init, resume is not None
        self._photographs = self._photo_solver(earlier, taken, own=own)
        self._follow_photographs()
        self._changed_at = self.step_number
        self._warn_of_unscored()

    def _build(self, init: Model | None) -> Transferred:
        """Build and start the network; returns what it knows from before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = build_network(self.model_config.network)
        self.start = self._start(network, init)
        taken = self._taken_over(network, init)
        complete = taken.body and taken.outputs
        # what a model from elsewhere says of these images may be far off
        self._holds_shares = self.resumed is not None or not complete
        self.receptive_field = receptive_field(network, self.model_config.network.ndim)
        self._batch, self._crop = self._choose_crops()
        self._average = copy.deepcopy(network).eval()
        self._place_where_it_fits(network)
        if self.start == SHIPPED and not complete:
            # crops are seen one by one, so that fewer would not help
            self._with_enough_memory(self._solve_head, fewer=False)
        return taken

    def _start(self, network: torch.nn.Module, init: Model | None) -> str:
        """Give a new network its first weights, and tell whose they are.

        What a model to start from lacks is then the shipped one, where it began so.
        """
        if (earlier := self.resumed or init) is not None:
            began = earlier.config.training.get("start") == SHIPPED
            able = began and self.task.solves_head
            return SHIPPED if able and start_from_shipped(network) else ""
        if self.config.encoder_weights:
            self._say(load_encoder(network, self.config.encoder_weights))
            return ""
        wanted = self.config.shipped and self.task.solves_head
        if wanted and start_from_shipped(network):
            return SHIPPED
        if said := start_pretrained(network):
            self._say(said)
        return ""

    def _taken_over(self, network: torch.nn.Module, init: Model | None) -> Transferred:
        """Copy what fits from a model; a run that goes on will have all of its own."""
        if self.resumed is not None:
            return Transferred(body=True, outputs=True, photographs=True)
        if init is None:
            return Transferred()
        taken = transfer_weights(network, self.model_config, init)
        self._say(taken.message)
        return taken

    def _solve_head(self) -> None:
        self._heads.solve(self._average, self._crop, self._augment)
        self._take_over_head()

    def _solve_head_again(self) -> None:
        """Solve the last layer again where strokes say much that is new.

        Where memory is short it stays as it is.
        """
        if self.start != SHIPPED or not self.task.solves_head:
            return
        try:
            changed = self._heads.solve_again(self._average, self._crop, self._augment)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            free_cache(self.compute.device)
            return
        if changed:
            self._take_over_head()

    def _photo_solver(
        self, earlier: Checkpoint | Model | None, taken: Transferred, *, own: bool
    ) -> PhotoSolver:
        """Return what keeps photographs' features up, from what was known before."""
        if earlier is None or not taken.photographs:
            return PhotoSolver(self.task)
        worth, kept = known_before(earlier.config.training, own=own)
        return PhotoSolver(self.task, worth, kept=kept)

    def _follow_photographs(self) -> None:
        """Let the classifier of photographs' features follow what is painted.

        They reach far: it looks at larger crops than a step does, if memory allows it.
        """
        larger = [2 * edge for edge in self._crop]
        crops = [self._no_larger_than_images(c) for c in (larger, self._crop)]
        self._photographs.follow(self._average, self._network, crops, self._augment)

    def _take_over_head(self) -> None:
        """Let the network that learns have the last layer of the averaged one."""
        head = self._average.get_submodule("head").state_dict()
        self._network.get_submodule("head").load_state_dict(head)

    def _place_where_it_fits(self, network: torch.nn.Module) -> None:
        """Place the network on the device, or else on the processor."""
        try:
            self._place(network)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self.compute.device.type == "cpu":
                raise
            free_cache(self.compute.device)
            self._fall_back(network)

    def _fall_back(self, network: torch.nn.Module) -> None:
        """Go on with the processor."""
        self.compute = choose_compute("cpu", "auto")
        self._place(network)
        self._shares.forget()
        self._say("The GPU's memory ran out; going on with the processor.")

    def _place(self, network: torch.nn.Module) -> None:
        """Move network and average to the device, and start an optimiser there."""
        ndim = self.model_config.network.ndim
        device = self.compute.device
        for each in (network, self._average):
            each.to(device, memory_format=memory_format(ndim))  # type: ignore[call-overload]
        self._network = network.train()
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        self._optimising_from = self.step_number
        generator = torch.Generator().manual_seed(self._seed)
        places = ndim if self.model_config.network.coordinates else 0
        varied = self.config.augmentation or self.task.usual_augmentation()
        self._augment = Augmenter(varied, ndim, generator, device, places=places)

    def checkpoint(self, seconds: float) -> Checkpoint:
        """Return the state of this run; its tensors go on changing."""
        tensors = pack(self._network, self._average, self._optimiser)
        return Checkpoint(self._described({}), self.step_number, seconds, tensors)

    def _restore(self, checkpoint: Checkpoint) -> None:
        checkpoint.unpack(self._network, self._average, self._optimiser)
        self.step_number = checkpoint.step
        self._say(f"Going on from step {checkpoint.step}.")

    def _choose_crops(self) -> tuple[int, tuple[int, ...]]:
        """Return the crops of a step and their edges, no larger than images."""
        ndim, edge = self.model_config.network.ndim, self.config.crop
        batch, wanted = self.task.usual_crops()
        if edge:
            batch, wanted = DEFAULT_BATCH[ndim], (edge,) * ndim
        crop = self._no_larger_than_images(wanted)
        return max(self.config.batch or batch, self._fewest(crop)), crop

    def _no_larger_than_images(self, crop: Sequence[int]) -> tuple[int, ...]:
        """Return the edges of a crop that fits the images and the network's stride."""
        sizes = [item.image.spatial_shape for item in self.annotations.images]
        largest = np.max(sizes, axis=0)
        return tuple(
            round_up(min(edge, int(size)), stride)
            for edge, size, stride in zip(
                crop, largest, self.receptive_field.stride, strict=True
            )
        )

    def _fewest(self, crop: Sequence[int]) -> int:
        """Return how many crops it takes at least.

        Batch normalisation needs two values of each channel on the coarsest level.
        """
        return 2 if tuple(crop) == tuple(self.receptive_field.stride) else 1

    def _warn_of_unscored(self) -> None:
        message = self.task.unscored()
        if message and self.config.held_out:
            self._say(message)

    def refresh(
        self, changed: Mapping[int, Collection[tuple[int, ...]] | None]
    ) -> None:
        """Take over what was annotated or erased meanwhile.

        A network that began with the shipped weights has its last layer solved anew
        where that says much that is new (see `HeadSolver`), and so have photographs'
        features their classifier (see `PhotoSolver`).

        Parameters
        ----------
        changed : mapping of int to collection of tuple of int, or None
            The samples of each image on which something changed; None for all of them.
        """
        for number, samples in changed.items():
            self.task.refresh(number, samples)
        self._solve_head_again()
        self._follow_photographs()
        self._notice_strokes()
        self.forget_scores()

    def _notice_strokes(self) -> None:
        """Begin to learn anew if there is something else to learn from."""
        before = self._painted, self._seen
        self._painted = self._count_painted()
        self._seen = fingerprint(self.task.targets)
        if (self._painted, self._seen) != before:
            self._changed_at = self.step_number
            self._shares.forget()

    def _count_painted(self) -> list[int]:
        """Return of how many pixels of each class is learned."""
        return self.annotations.class_pixels(testing=False)

    def forget_scores(self) -> None:
        """Compare no weights with those from before the annotation changed."""
        self._best.forget()

    def step(self, progress: float | None = None) -> float:
        """Train on one batch of crops.

        Parameters
        ----------
        progress : float, optional
            Share of the budget used; None without one.

        Returns
        -------
        float
            The loss.
        """
        loss = self._with_enough_memory(lambda: self._step(progress))
        self.step_number += 1
        return loss

    def _with_enough_memory(
        self, action: Callable[[], _Result], *, fewer: bool = True
    ) -> _Result:
        """Do something, with fewer or smaller crops whenever memory runs out."""
        while True:
            try:
                return action()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._relieve(error, fewer=fewer)

    def _step(self, progress: float | None) -> float:
        image, target = self.task.batch(
            self._batch, self._crop, self._augment, self.compute.device
        )
        image = image.contiguous(memory_format=memory_format(image.ndim - 2))
        self._set_rate(progress)
        self._follow_statistics()
        with self.compute.autocast():
            output = self._network(image)
        loss = self.task.loss(output, target)
        if self.start == SHIPPED:
            loss = loss + self._from_before(image, output, target)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        value = float(loss.detach())
        slope = float(torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0))
        if np.isfinite(value) and np.isfinite(slope):
            self._optimiser.step()
            self._update_average()
            self._faults = 0
        else:
            self._recover()
        return value

    def _set_rate(self, progress: float | None) -> None:
        """Let the optimiser learn as fast as is right for this step."""
        gentle = self.start == SHIPPED
        factor = learning_rate_factor(
            self.step_number, progress, gentle=gentle, begun=self._optimising_from
        )
        if gentle and progress is None:
            settling = settling_factor(self._since_change)
            factor *= settling
            self._say_if_settled(settling)
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _say_if_settled(self, settling: float) -> None:
        """Tell when waiting does not help any more."""
        before, self._settled = self._settled, settling <= FLOOR
        if self._settled and not before:
            self._say(
                "What you painted is learned. Paint where the prediction is wrong, "
                "or stop."
            )

    @property
    def settled(self) -> bool:
        """Whether steps are as small as they become until something is painted."""
        return self._settled and settling_factor(self._since_change) <= FLOOR

    def _from_before(self, image: Tensor, output: Tensor, target: Tensor) -> Tensor:
        """Return how far a network is from what it knew where nothing is annotated."""
        with torch.no_grad(), self.compute.autocast():
            wanted = cast("UNet", self._average).learned(image)
        loss = teacher_loss(wanted, output, target, self._annotated)
        if not self._holds_shares:
            return loss
        shares = self._shares.loss(
            self._average,
            (image, output, target),
            self.step_number,
            self._painted,
            self.compute.autocast(),
        )
        return loss if shares is None else loss + shares

    @property
    def _annotated(self) -> int:
        """How many pixels are learned from."""
        return sum(self._painted)

    @property
    def _since_change(self) -> float:
        """Steps since one painted last, or the optimiser began; fewer if much is."""
        changed = max(self._changed_at, self._optimising_from)
        return trust(self._annotated) * (self.step_number - changed)

    def _follow_statistics(self) -> None:
        """Let batch norm average all steps so far at first, then the latest ones.

        With a fixed momentum its statistics would still be those of the start when the
        first predictions are looked at.
        """
        momentum = max(_MOMENTUM, 1 / (1 + self.step_number))
        for module in batch_norms(self._network):
            module.momentum = momentum

    def _recover(self) -> None:
        """Go back to the averaged weights after what is not a number; in float32.

        In bfloat16 the gradients of some operations are, with a loss that is one.
        """
        self.compute = self.compute.exact()
        self._faults += 1
        if self._faults > _MOST_FAULTS:
            raise UserError(
                "Training became unstable; lower the learning rate, or check the "
                "image for extreme values."
            )
        self._network.load_state_dict(self._average.state_dict())

    @torch.no_grad()
    def _update_average(self) -> None:
        since = self._since_change if self.start == SHIPPED else None
        rate = averaging_rate(self.step_number, since)
        mine, theirs = self._average.state_dict(), self._network.state_dict()
        for name, tensor in mine.items():
            if tensor.is_floating_point():
                tensor.lerp_(theirs[name], rate)
            else:
                tensor.copy_(theirs[name])

    def _relieve(self, error: BaseException, *, fewer: bool) -> None:
        """Make the next try smaller after memory ran out: fewer crops, or smaller."""
        free_cache(self.compute.device)
        stride = self.receptive_field.stride
        smaller = tuple(
            round_up(c // 2, s) for c, s in zip(self._crop, stride, strict=True)
        )
        if fewer and self._batch > (fewest := self._fewest(self._crop)):
            self._batch = max(self._batch // 2, fewest)
            self._say(f"Memory ran out; going on with {self._batch} crop(s) per step.")
        elif max(smaller) >= _SMALLEST_CROP and smaller != self._crop:
            self._crop = smaller
            self._batch = max(self._batch, self._fewest(smaller))
            self._say(f"Memory ran out; going on with crops of {max(smaller)} pixels.")
        elif self.compute.device.type != "cpu":
            self._fall_back(self._network)
        else:
            raise UserError(
                "There is not enough memory to train this network; close other "
                "programs or choose a narrower network."
            ) from error

    def score(self, seconds: float = 0.0) -> Scored:
        """Score the averaged weights and keep them if none were clearly better.

        What is held out scores, unless there is too little of it.
        """
        held = not self.annotations.unscored_classes()
        score = self.task.score(self._predict, self._crop, held=held)
        if held:
            pieces = self.annotations.held_pieces
            self._best.offer(score.value, self._average.state_dict(), pieces)
        return Scored(
            self.step_number, seconds, score.value, score.parts, held, score.details
        )

    def _predict(self, image: NDArray[np.float32]) -> torch.Tensor:
        """Return what the averaged weights make of a crop, float32 on the CPU."""
        tensor = torch.from_numpy(image)[None].to(self.compute.device)
        with torch.inference_mode(), self.compute.autocast():
            output: torch.Tensor = self._average(tensor)
        return output[0].float().cpu()

    @property
    def current_network(self) -> torch.nn.Module:
        """The weights of the last step, not averaged."""
        return self._network

    def live_model(self) -> Model:
        """Return the averaged weights as they are now; they go on changing."""
        return Model(self._described({}), self._average, self.receptive_field)

    def _described(self, facts: dict[str, object]) -> ModelConfig:
        """Return the description of the model, with how it came about."""
        training = ({"start": self.start} if self.start else {}) | facts
        training |= self._photographs.facts
        return self.model_config.model_copy(update={"training": training})

    def best_model(self, **facts: object) -> Model:
        """Return a copy of the best weights so far.

        These are the ones with the best score on held-out strokes, or the latest
        ones where nothing could be held out.

        Parameters
        ----------
        **facts
            Numbers about the run to be saved with the model.
        """
        network = copy.deepcopy(self._average).cpu()
        if (weights := self._best.weights) is not None:
            network.load_state_dict(weights)
        training = {
            "steps": self.step_number,
            **self.task.facts(self._best.score),
            **facts,
        }
        described = self._described(training)
        config = self.task.finish(described, self._predict, self._crop)
        return Model(config, network.float(), self.receptive_field)


def _as_before(
    network: NetworkConfig, earlier: Model | Checkpoint | None
) -> NetworkConfig:
    """Let a network see the image as an earlier one does, where that is not chosen."""
    before = None if earlier is None else earlier.config.network
    if before is None or (before.name, before.ndim) != (network.name, network.ndim):
        return network
    return see_alike(network, before)
