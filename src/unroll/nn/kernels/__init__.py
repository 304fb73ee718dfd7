"""Kernels for GPUs, in Triton, where PyTorch has none.

Each module computes what a function of `unroll.nn` computes in plain PyTorch, which runs wherever a kernel does not:
on a CPU, without Triton, and in a traced graph.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def has_kernels(x: Tensor) -> bool:
    """Whether the kernels run on the device of x.

    That is a GPU of CUDA or ROCm, or, with ``TRITON_INTERPRET=1``, Triton's interpreter on a CPU, for tests.
    """
    if torch.compiler.is_compiling() or not _has_triton():
        return False
    return x.is_cuda or (x.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1")


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
