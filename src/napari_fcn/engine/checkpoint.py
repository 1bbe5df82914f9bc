"""A training run on disk, complete enough to go on after a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_fcn.config import ModelConfig
from napari_fcn.data.files import atomic_path
from napari_fcn.engine.device import in_fast_layout
from napari_fcn.engine.model import Model, load_model
from napari_fcn.errors import UserError
from napari_fcn.networks import build_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import nn
    from torch.optim import Optimizer

_KEY = "napari_fcn_checkpoint"
_AVERAGE = "average."


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run.

    Attributes
    ----------
    config : ModelConfig
        Of the network in training.
    step : int
        Steps done.
    seconds : float
        Training time so far.
    tensors : dict
        ``network.*``, ``average.*`` and ``optimiser.<parameter>.*``.
    """

    config: ModelConfig
    step: int
    seconds: float
    tensors: Mapping[str, torch.Tensor]

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors under ``name.``, without that prefix."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }

    def model(self) -> Model:
        """Return the averaged weights as a model.

        Raises
        ------
        UserError
            If the weights do not fit the network they are said to be of.
        """
        network = build_network(self.config.network)
        self._fill(network, "average")
        return Model(self.config, in_fast_layout(network, self.config.network.ndim))

    def unpack(
        self, network: nn.Module, average: nn.Module, optimiser: Optimizer
    ) -> None:
        """Put back what `pack` took from a network, its average and its optimiser.

        Raises
        ------
        UserError
            If the weights do not fit the network they are said to be of.
        """
        self._fill(network, "network")
        self._fill(average, "average")
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in self.part("optimiser").items():
            number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _fill(self, network: nn.Module, part: str) -> None:
        """Give a network the weights of a part."""
        try:
            network.load_state_dict(self.part(part))
        except RuntimeError as error:
            raise _damaged("the checkpoint") from error

    def save(self, path: Path) -> None:
        """Write to a ``.safetensors`` file, atomically.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        header = {
            "config": self.config.model_dump(mode="json"),
            "step": self.step,
            "seconds": self.seconds,
        }
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.tensors.items()}
        content = save(tensors, metadata={_KEY: json.dumps(header)})
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def pack(
    network: nn.Module, average: nn.Module, optimiser: Optimizer
) -> dict[str, torch.Tensor]:
    """Return the tensors of a run for `Checkpoint`; they go on changing."""
    tensors: dict[str, torch.Tensor] = {}
    for part, module in (("network", network), ("average", average)):
        for name, tensor in module.state_dict().items():
            tensors[f"{part}.{name}"] = tensor
    for number, state in optimiser.state_dict()["state"].items():
        for name, tensor in state.items():
            tensors[f"optimiser.{number}.{name}"] = tensor
    return tensors


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. No code from it is run.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            config = ModelConfig.model_validate(header["config"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(
                config, int(header["step"]), float(header["seconds"]), tensors
            )
    except (
        SafetensorError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
        ValidationError,
        RecursionError,
    ) as error:
        raise _damaged(path.name) from error


def latest_model(model: Path, checkpoint: Path | None = None) -> Model:
    """Load a model, or that of its run where the run was killed later than it.

    Parameters
    ----------
    model : Path
        The model file; it may be missing if there is a checkpoint.
    checkpoint : Path, optional
        The checkpoint of the run.

    Raises
    ------
    UserError
        If neither can be loaded.
    """
    times = [
        path.stat().st_mtime if path is not None and path.is_file() else -1.0
        for path in (model, checkpoint)
    ]
    if checkpoint is not None and times[1] > times[0]:
        try:
            return load_checkpoint(checkpoint).model()
        except UserError:
            if times[0] < 0:
                raise
    return load_model(model)


def _damaged(name: str) -> UserError:
    return UserError(f"{name} is damaged or missing; start training anew.")
