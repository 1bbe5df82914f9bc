"""Receptive field and total stride, computed from the network itself.

Every feature pixel i of a fully convolutional network depends on the input pixels
between ``jump * i + low`` and ``jump * i + high`` (Araujo et al. 2019, "Computing
receptive fields of convolutional neural networks"). The network is traced, and
jump, low and high are carried through each operation. For operations that depend on
the position of a pixel within a stride (up-sampling) low and high are the extremes
over all positions.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
import torch.fx
from torch import nn

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable


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
class _Reach:
    """Dependence of feature pixel i: inputs jump * i + low to jump * i + high."""

    jump: Fraction = Fraction(1)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> _Reach:
        """Pass through a sliding window: convolution or pooling."""
        extent = dilation * (kernel - 1)
        return _Reach(
            self.jump * stride,
            self.low - self.jump * padding,
            self.high + self.jump * (extent - padding),
        )

    def spread(self, kernel: int, stride: int, padding: int) -> _Reach:
        """Pass through a transposed convolution.

        Output o depends on the inputs i with ``o = i * stride - padding + t`` for
        t in 0 .. kernel - 1, so i lies in ((o + padding - t) / stride).
        """
        jump = self.jump / stride
        return _Reach(
            jump,
            self.low + jump * (padding - (kernel - 1)),
            self.high + jump * padding,
        )

    def join(self, other: _Reach) -> _Reach:
        if self.jump != other.jump:
            raise UserError(
                "The network joins features of different resolution; its receptive "
                "field cannot be computed."
            )
        return _Reach(self.jump, min(self.low, other.low), max(self.high, other.high))


_Reaches = tuple[_Reach, ...]


def _per_axis(value: Any, ndim: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * ndim


def _slide(module: Any, reaches: _Reaches) -> _Reaches:
    ndim = len(reaches)
    parameters = zip(
        reaches,
        _per_axis(module.kernel_size, ndim),
        _per_axis(module.stride, ndim),
        _per_axis(module.padding, ndim),
        _per_axis(module.dilation, ndim),
        strict=True,
    )
    return tuple(r.window(k, s, p, d) for r, k, s, p, d in parameters)


def _transpose(module: Any, reaches: _Reaches) -> _Reaches:
    ndim = len(reaches)
    parameters = zip(
        reaches,
        _per_axis(module.kernel_size, ndim),
        _per_axis(module.stride, ndim),
        _per_axis(module.padding, ndim),
        strict=True,
    )
    return tuple(r.spread(k, s, p) for r, k, s, p in parameters)


def _replicate(module: Any, reaches: _Reaches) -> _Reaches:
    if module.mode != "nearest" or module.scale_factor is None:
        raise UserError(f"Up-sampling by {module.mode!r} is not known to tile exactly.")
    factors = _per_axis(module.scale_factor, len(reaches))
    return tuple(
        r.spread(int(f), int(f), 0) for r, f in zip(reaches, factors, strict=True)
    )


def _same(_: Any, reaches: _Reaches) -> _Reaches:
    return reaches


_MODULES: dict[type[nn.Module], Callable[[Any, _Reaches], _Reaches]] = {
    nn.Conv2d: _slide,
    nn.Conv3d: _slide,
    nn.MaxPool2d: _slide,
    nn.MaxPool3d: _slide,
    nn.ConvTranspose2d: _transpose,
    nn.ConvTranspose3d: _transpose,
    nn.Upsample: _replicate,
    nn.BatchNorm2d: _same,
    nn.BatchNorm3d: _same,
    nn.ReLU: _same,
    nn.Identity: _same,
    nn.Dropout: _same,
}

_POINTWISE = {
    operator.add,
    operator.mul,
    operator.getitem,
    torch.cat,
    torch.add,
    torch.relu,
    torch.ones_like,
    nn.functional.relu,
}


class _Tracer(torch.fx.Interpreter):
    """Runs the traced network on reaches in place of tensors."""

    def __init__(self, network: nn.Module, ndim: int) -> None:
        super().__init__(torch.fx.symbolic_trace(network))
        self.start: _Reaches = (_Reach(),) * ndim
        self.jumps = [{Fraction(1)} for _ in range(ndim)]

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, tuple) and result and isinstance(result[0], _Reach):
            for seen, reach in zip(self.jumps, result, strict=True):
                seen.add(reach.jump)
        return result

    def placeholder(self, *_: Any) -> _Reaches:
        return self.start

    def call_module(self, target: Any, args: Any, kwargs: Any) -> _Reaches:
        module = self.fetch_attr(target)
        rule = _MODULES.get(type(module))
        if rule is None:
            raise UserError(
                f"The layer {type(module).__name__} is not known to tile exactly."
            )
        return rule(module, args[0])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> _Reaches:
        if target not in _POINTWISE:
            raise UserError(f"The operation {target} is not known to tile exactly.")
        operands = args[0] if target is torch.cat else args
        if target is operator.getitem:
            operands = args[:1]
        joined = [a for a in operands if isinstance(a, tuple)]
        result: _Reaches = joined[0]
        for reaches in joined[1:]:
            result = tuple(a.join(b) for a, b in zip(result, reaches, strict=True))
        return result


def receptive_field(network: nn.Module, ndim: int | None = None) -> ReceptiveField:
    """Compute the receptive field of a network.

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
    if ndim is None:
        has_3d = any(isinstance(m, nn.Conv3d) for m in network.modules())
        ndim = 3 if has_3d else 2
    tracer = _Tracer(network, ndim)
    # Interpreter.run passes the placeholder's value on; the input itself is unused.
    reaches: _Reaches = tracer.run(None)
    return ReceptiveField(
        before=tuple(math.floor(-r.low) for r in reaches),
        after=tuple(math.floor(r.high) for r in reaches),
        stride=tuple(
            math.lcm(*(j.numerator for j in seen if j.denominator == 1))
            for seen in tracer.jumps
        ),
    )
