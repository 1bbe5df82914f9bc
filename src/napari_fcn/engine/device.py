"""Where to compute, how precisely, and in which memory layout."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_fcn.errors import UserError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

    from napari_fcn.config import DeviceName, Precision


@dataclass(frozen=True)
class Compute:
    """A device with the precision that suits it.

    Attributes
    ----------
    device : torch.device
        Where tensors live.
    dtype : torch.dtype
        What convolutions compute with while training; float32 means no autocast.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the network runs."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def exact(self) -> Compute:
        """Return the same device in float32."""
        return Compute(self.device)

    def describe(self) -> str:
        """Say in plain words where the network computes."""
        name = {"cuda": "GPU", "mps": "Apple GPU", "cpu": "processor"}[self.device.type]
        if self.device.type == "cuda":
            name = f"GPU ({torch.cuda.get_device_name(self.device)})"
        if self.device.type == "cpu":
            cores = torch.get_num_threads()
            name = f"processor ({cores} core{'s' if cores > 1 else ''})"
        return name if self.dtype == torch.float32 else f"{name} in {_name(self.dtype)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def choose_device(name: DeviceName = "auto") -> torch.device:
    """Choose the device: the GPU when there is one.

    Raises
    ------
    UserError
        If a device is asked for that this computer does not have.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(d for d, there in available.items() if there))
    if not available[name]:
        raise UserError(
            f"This computer has no {name.upper()} device that PyTorch can use; "
            "choose --device auto or cpu."
        )
    return torch.device(name)


def choose_compute(name: DeviceName = "auto", precision: Precision = "auto") -> Compute:
    """Choose device and precision.

    ``auto`` computes in bfloat16 where the hardware has instructions for it (AMX or
    AVX-512 BF16 on CPUs, Ampere and later on CUDA), in float32 elsewhere.
    """
    device = choose_device(name)
    if precision != "auto":
        return Compute(device, getattr(torch, precision))
    return Compute(device, torch.bfloat16 if _fast_bfloat16(device) else torch.float32)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory, of the GPU or the computer, ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def free_cache(device: torch.device) -> None:
    """Give cached GPU memory back after an out-of-memory error."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def memory_format(ndim: int) -> torch.memory_format:
    """Return the channels-last layout, in which convolutions are fastest."""
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


def in_fast_layout(network: nn.Module, ndim: int) -> nn.Module:
    """Return a network with its kernels in the layout of `memory_format`, in place."""
    return network.to(memory_format=memory_format(ndim))  # type: ignore[call-overload]
