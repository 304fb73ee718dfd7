"""Counts what PyTorch would launch on a GPU, without one."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "bincount",
    "unique_dim",
    "_unique2",
    "is_nonzero",
    "equal",
}
FREE = {
    "promote_types",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "detach",
    "lift_fresh",
    "_unsafe_view",
}


class Launches(TorchDispatchMode):
    """The names of the operators of PyTorch that were called, without views.

    Args:
        device: stands for the GPU.
        may_wait: whether the host may wait for the device.

    Raises:
        AssertionError: it would.
    """

    def __init__(self, device: str = "cpu", may_wait: bool = False) -> None:
        super().__init__()
        self.names: list[str] = []
        self.device, self.may_wait = device, may_wait

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        found = func(*args, **(kwargs or {}))
        results = found if isinstance(found, tuple | list) else [found]
        is_there = any(isinstance(it, torch.Tensor) and it.device.type == self.device for it in args)
        devices = {it.device.type for it in (*args, *results) if isinstance(it, torch.Tensor) and it.ndim}
        has_mask = name == "index" and any(it is not None and it.dtype is torch.bool for it in args[1])
        waits = (is_there and (name in WAITING or has_mask)) or len(devices) > 1
        assert self.may_wait or not waits, f"{name} waits for the device"
        if not func.is_view and name not in FREE:
            self.names.append(name)
        return found
