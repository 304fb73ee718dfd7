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

    Raises:
        AssertionError: the host would wait for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        found = func(*args, **(kwargs or {}))
        results = [it for it in (found if isinstance(found, tuple | list) else [found]) if isinstance(it, torch.Tensor)]
        masks = [it for it in args[1] or [] if it is not None and it.dtype is torch.bool] if name == "index" else []
        sources = [it for it in args if isinstance(it, torch.Tensor) and it.device.type != "cpu"]
        is_copied_back = bool(sources) and any(it.device.type == "cpu" for it in results)
        assert name not in WAITING and not masks and not is_copied_back, f"{name} waits for the device"
        if not func.is_view and name not in FREE:
            self.names.append(name)
        return found
