"""Make the weights that the package ships; see docs/shipped-weights.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from napari_fcn.config import NetworkConfig
from napari_fcn.engine.shipped import HEAD_COVARIANCE
from napari_fcn.networks import build_network
from pretraining.episodes import make_bank
from pretraining.learner import BATCH, learn, validate
from pretraining.prior import head_covariance

if TYPE_CHECKING:
    from torch import Tensor, nn

HELD = 60
"""Tasks that only score."""
PRIOR = 240
"""Tasks for the prior of the last layer, other ones."""


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    network, about = read(settings.body) if settings.body else _learned(settings)
    _tell("fitting last layers")
    tasks = make_bank(PRIOR, settings.edge, settings.seed + 1)
    covariance = head_covariance(network, tasks, settings.seed)
    settings.out.write_bytes(weights_file(network, covariance, about))


def _learned(settings: argparse.Namespace) -> tuple[nn.Module, dict[str, Any]]:
    """Learn a body; returns it and how it came about."""
    _tell("making scenes")
    bank = make_bank(settings.tasks + HELD, settings.edge, settings.seed)
    torch.manual_seed(settings.seed)
    network = build_network(NetworkConfig(in_channels=3))
    learned, held = bank[: settings.tasks], bank[settings.tasks :]
    average = learn(network, learned, held, settings.steps, settings.seed, _tell)
    about = vars(settings) | {"batch": BATCH, "dice": validate(average, held)}
    del about["body"]
    about["out"] = settings.out.name
    return average, about


def weights_file(
    network: nn.Module, covariance: Tensor, about: dict[str, Any]
) -> bytes:
    """Return the body's weights, the last layer's prior, and how they came about.

    Kernels are in half precision. What batch norm has gathered may exceed its range.
    """
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.startswith("head.")
    }
    tensors[HEAD_COVARIANCE] = covariance.contiguous()
    return save(tensors, metadata={"about": json.dumps(about)})


def read(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the body that a file holds, in evaluation mode, and how it came about."""
    network = build_network(NetworkConfig(in_channels=3)).eval()
    with safe_open(file, "pt") as opened:
        about = json.loads(opened.metadata()["about"])
        for name, tensor in network.state_dict().items():
            if not name.startswith("head."):
                tensor.copy_(opened.get_tensor(name))
    return network, about


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pretraining", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--body", type=Path, help="weights to keep; only the prior is made anew"
    )
    parser.add_argument("--tasks", type=int, default=8000)
    parser.add_argument("--edge", type=int, default=144)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
