"""Make the weights that the package ships; see docs/shipped-weights.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network
from pretraining.episodes import make_bank
from pretraining.learner import BATCH, learn, validate

if TYPE_CHECKING:
    from torch import nn

HELD = 60
"""Tasks that only score."""


def main() -> None:
    settings = _settings()
    torch.set_num_threads(settings.threads)
    _tell("making scenes")
    bank = make_bank(settings.tasks + HELD, settings.edge, settings.seed)
    torch.manual_seed(settings.seed)
    network = build_network(NetworkConfig(in_channels=3))
    learned, held = bank[: settings.tasks], bank[settings.tasks :]
    average = learn(network, learned, held, settings.steps, settings.seed, _tell)
    about = vars(settings) | {"batch": BATCH, "dice": validate(average, held)}
    about["out"] = settings.out.name
    settings.out.write_bytes(weights_file(average, about))


def weights_file(network: nn.Module, about: dict[str, object]) -> bytes:
    """Return the body's weights, kernels in half precision, and how they came about.

    What batch norm has gathered may exceed the range of half precision.
    """
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.startswith("head.")
    }
    return save(tensors, metadata={"about": json.dumps(about)})


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pretraining", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
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
