"""Receptive field and total stride, computed from the network itself.

Every feature pixel i of a fully convolutional network depends on the input pixels
between ``jump * i + low`` and ``jump * i + high`` (Araujo et al. 2019, "Computing
receptive fields of convolutional neural networks"). The network is traced, and
jump, low and high are carried through each operation.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch.fx
from torch import nn

from napari_fcn.errors import UserError
from napari_fcn.networks.reach import Reach, Reaches
from napari_fcn.networks.rules import carry_through_function, carry_through_module

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel sees, per spatial axis, in input pixels.

    Attributes
    ----------
    before, after : tuple of int
        How far it reaches to lower and to higher indices.
    stride : tuple of int
        Total stride: the network is equivariant to shifts by multiples of it.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Edge of the receptive field, ``before + 1 + after``."""
        return tuple(b + 1 + a for b, a in zip(self.before, self.after, strict=True))

    @property
    def halo(self) -> tuple[int, ...]:
        """Context a tile needs on each side: the larger reach."""
        return tuple(max(b, a) for b, a in zip(self.before, self.after, strict=True))


@dataclass(frozen=True)
class LayerField:
    """What one feature pixel of a layer sees, per spatial axis, in input pixels.

    Attributes
    ----------
    name, kind : str
        Where the layer is in the network, and its class.
    size : tuple of int
        Edge of its receptive field.
    stride : tuple of float
        Input pixels between two neighbouring feature pixels.
    offset : tuple of float
        Centre of the receptive field of feature pixel 0.
    """

    name: str
    kind: str
    size: tuple[int, ...]
    stride: tuple[float, ...]
    offset: tuple[float, ...]


def receptive_field(network: nn.Module, ndim: int | None = None) -> ReceptiveField:
    """Compute the receptive field of a network, as it is when it predicts.

    Parameters
    ----------
    network : nn.Module
        Made of convolutions, pooling, up-sampling and pointwise operations.
    ndim : int, optional
        Spatial dimension; read from the network's convolutions by default.

    Returns
    -------
    ReceptiveField
        Reach and total stride per spatial axis.

    Raises
    ------
    UserError
        If the network contains an operation that looks at the whole image, or
        that is not known.
    """
    tracer = _Follower(network, ndim or _ndim(network))
    reaches = tracer.follow()
    return ReceptiveField(
        before=tuple(math.floor(-r.low) for r in reaches),
        after=tuple(math.floor(r.high) for r in reaches),
        stride=tuple(
            math.lcm(*(j.numerator for j in seen if j.denominator == 1))
            for seen in tracer.jumps
        ),
    )


def layer_fields(network: nn.Module, ndim: int | None = None) -> list[LayerField]:
    """Compute the receptive field of every layer that changes it.

    Parameters
    ----------
    network : nn.Module
        As for `receptive_field`.
    ndim : int, optional
        Spatial dimension; read from the network's convolutions by default.

    Returns
    -------
    list of LayerField
        In the order in which the network computes them.

    Raises
    ------
    UserError
        As `receptive_field`.
    """
    tracer = _Follower(network, ndim or _ndim(network))
    tracer.follow()
    return tracer.layers


def _ndim(network: nn.Module) -> int:
    return 3 if any(isinstance(m, nn.Conv3d) for m in network.modules()) else 2


class _Tracer(torch.fx.Tracer):
    """Keeps layers whole that tell themselves how far they look."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return hasattr(m, "carry") or super().is_leaf_module(m, module_qualified_name)


class _Follower(torch.fx.Interpreter):
    """Runs the traced network on reaches in place of tensors."""

    def __init__(self, network: nn.Module, ndim: int) -> None:
        with _predicting(network):
            graph = _Tracer().trace(network)
        super().__init__(torch.fx.GraphModule(network, graph))
        self.start: Reaches = (Reach(),) * ndim
        self.jumps = [{Fraction(1)} for _ in range(ndim)]
        self.layers: list[LayerField] = []

    def follow(self) -> Reaches:
        # Interpreter.run passes the placeholder's value on; the input itself is unused.
        reaches: Reaches = self.run(None)
        return reaches

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, tuple) and result and isinstance(result[0], Reach):
            for seen, reach in zip(self.jumps, result, strict=True):
                seen.add(reach.jump)
        return result

    def placeholder(self, *_: Any) -> Reaches:
        return self.start

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(target)
        result = carry_through_module(module, *args)
        reaches = result[0] if isinstance(result[0], tuple) else result
        if reaches != args[0]:
            self.layers.append(_layer_field(target, module, reaches))
        return result

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return carry_through_function(target, *args)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        raise UserError(f"The operation {target} is not known to tile exactly.")


def _layer_field(name: str, module: nn.Module, reaches: Reaches) -> LayerField:
    return LayerField(
        name=name,
        kind=type(module).__name__,
        size=tuple(math.floor(r.high - r.low) + 1 for r in reaches),
        stride=tuple(float(r.jump) for r in reaches),
        offset=tuple(float(r.low + r.high) / 2 for r in reaches),
    )


@contextlib.contextmanager
def _predicting(network: nn.Module) -> Iterator[None]:
    """Put every layer into evaluation mode and back into the mode it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
