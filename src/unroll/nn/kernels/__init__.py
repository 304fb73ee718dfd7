"""Kernels for GPUs, in Triton, where PyTorch has none.

Each module computes what a function of `unroll.nn` computes in plain PyTorch, which runs wherever a kernel does not:
on a CPU, without Triton, and in a traced graph.
"""

import os
from functools import cache
from importlib.util import find_spec
from shutil import which

import torch
from torch import Tensor


def has_kernels(x: Tensor) -> bool:
    """Whether the kernels run on the device of x.

    That is a GPU of CUDA or ROCm, or, with ``TRITON_INTERPRET=1``, Triton's interpreter on a CPU, for tests.
    ``UNROLL_KERNELS=0`` turns them off.
    """
    if torch.compiler.is_compiling() or not _has_triton():
        return False
    if x.is_cuda:
        return _is_supported(x.device)
    return x.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


def has_float32_kernels(x: Tensor) -> bool:
    """Whether the kernels run that compute gates, which is in float32; a cell in float64 takes the plain path."""
    return x.dtype != torch.float64 and has_kernels(x)


def has_recurrent_kernels(gates: Tensor, hidden: int, heads: int = 1) -> bool:
    """Whether the kernels run that multiply a state by a matrix at every step of the gates (T, B, …).

    `hidden` units depend on each other, in each of the `heads`. They do not run for float64, nor for more than 8 units,
    of all heads together, for each processor of the device.
    """
    if gates.dtype != torch.float32 or not has_kernels(gates):
        return False
    from unroll.nn.kernels.together import blocks_for

    return blocks_for(gates, gates.shape[1], heads, hidden) is not None


@cache
def _has_triton() -> bool:
    """Triton compiles what starts a kernel with the C compiler that it finds."""
    compilers = (os.environ.get("CC"), "gcc", "clang")
    has_compiler = any(which(it) for it in compilers if it)
    return has_compiler and find_spec("triton") is not None and os.environ.get("UNROLL_KERNELS") != "0"


@cache
def _is_supported(device: torch.device) -> bool:
    """Triton supports GPUs of AMD, and those of NVIDIA from Ampere on."""
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
