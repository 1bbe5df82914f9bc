"""How the layers and functions of torch pass reaches on.

What is not listed here is refused, so that a layer that looks at the whole image can
never be tiled by mistake. The layers of this package say it themselves, in a method
``carry`` from reaches to reaches.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_fcn.errors import UserError
from napari_fcn.networks.reach import Reaches, join_all

if TYPE_CHECKING:
    from collections.abc import Callable


def carry_through_module(module: nn.Module, *inputs: Any) -> Any:
    """Pass reaches through a layer.

    Raises
    ------
    UserError
        If it is not known how far the layer looks.
    """
    own = getattr(module, "carry", None)
    if own is not None:
        return own(*inputs)
    rule = _MODULES.get(type(module))
    if rule is None:
        raise UserError(
            f"The layer {type(module).__name__} is not known to tile exactly."
        )
    return rule(module, *inputs)


def carry_through_function(target: Any, *inputs: Any) -> Any:
    """Pass reaches through a function or operator.

    Raises
    ------
    UserError
        If it is not known how far the function looks.
    """
    if target is operator.getitem:
        return _get_item(*inputs)
    if target not in _POINTWISE:
        raise UserError(f"The operation {target} is not known to tile exactly.")
    operands = inputs[0] if target is torch.cat else inputs
    return join_all(*(o for o in operands if isinstance(o, tuple)))


def _get_item(value: Any, index: Any) -> Any:
    if isinstance(value[0], tuple):  # one of several outputs of a layer
        return value[index]
    if not isinstance(index, tuple) or any(i != slice(None) for i in _spatial(index)):
        raise UserError("Indexing along a spatial axis is not known to tile exactly.")
    return value


def _spatial(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what is asked of the spatial axes, and what stands for several axes."""
    return index[2:] + tuple(i for i in index[:2] if not isinstance(i, slice))


def _per_axis(value: Any, ndim: int) -> tuple[int, ...]:
    if isinstance(value, tuple | list):
        return tuple(int(v) for v in value)
    return (int(value),) * ndim


def _geometry(module: Any, ndim: int, *names: str) -> Any:
    return zip(*(_per_axis(getattr(module, n), ndim) for n in names), strict=True)


def _slide(module: Any, reaches: Reaches) -> Any:
    names = ("kernel_size", "stride", "padding", "dilation")
    numbers = _geometry(module, len(reaches), *names)
    result = tuple(r.window(*n) for r, n in zip(reaches, numbers, strict=True))
    return (result, result) if getattr(module, "return_indices", False) else result


def _average(module: Any, reaches: Reaches) -> Reaches:
    numbers = _geometry(module, len(reaches), "kernel_size", "stride", "padding")
    steps = zip(reaches, numbers, strict=True)
    return tuple(r.window(k, s, p, 1) for r, (k, s, p) in steps)


def _transpose(module: Any, reaches: Reaches) -> Reaches:
    numbers = _geometry(module, len(reaches), "kernel_size", "stride", "padding")
    return tuple(r.spread(*n) for r, n in zip(reaches, numbers, strict=True))


def _unpool(module: Any, reaches: Reaches, indices: Reaches) -> Reaches:
    return _transpose(module, join_all(reaches, indices))


def _enlarge(module: Any, reaches: Reaches) -> Reaches:
    """Replicate, or interpolate: as if spread by a kernel that is a triangle."""
    linear = module.mode in ("bilinear", "trilinear") and not module.align_corners
    if module.scale_factor is None or not (linear or module.mode == "nearest"):
        raise UserError(f"Up-sampling by {module.mode!r} is not known to tile exactly.")
    factors = _per_axis(module.scale_factor, len(reaches))
    spreads = [(2 * f - f % 2, f, f // 2) if linear else (f, f, 0) for f in factors]
    return tuple(r.spread(*s) for r, s in zip(reaches, spreads, strict=True))


def _pad(module: Any, reaches: Reaches) -> Reaches:
    left, _, top, _ = module.padding
    return tuple(r.shift(-p) for r, p in zip(reaches, (top, left), strict=True))


def _same(_: Any, reaches: Reaches) -> Reaches:
    return reaches


_MODULES: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Conv2d: _slide,
    nn.Conv3d: _slide,
    nn.MaxPool2d: _slide,
    nn.MaxPool3d: _slide,
    nn.AvgPool2d: _average,
    nn.AvgPool3d: _average,
    nn.ConvTranspose2d: _transpose,
    nn.ConvTranspose3d: _transpose,
    nn.MaxUnpool2d: _unpool,
    nn.MaxUnpool3d: _unpool,
    nn.Upsample: _enlarge,
    nn.ZeroPad2d: _pad,
    nn.BatchNorm2d: _same,
    nn.BatchNorm3d: _same,
    nn.ReLU: _same,
    nn.ReLU6: _same,
    nn.Identity: _same,
    nn.Dropout: _same,
}

_POINTWISE = {
    operator.add,
    operator.iadd,
    operator.sub,
    operator.mul,
    operator.truediv,
    torch.cat,
    torch.add,
    torch.relu,
    torch.sqrt,
    torch.ones_like,
    nn.functional.relu,
}
