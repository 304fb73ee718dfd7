"""Two computations at the same time on a GPU, on two CUDA streams."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def concurrently(first: Callable[[], Tensor], second: Callable[[], Tensor], *shared: Tensor) -> tuple[Tensor, Tensor]:
    """Call both functions, which read the tensors `shared` and parameters but no result of each other.

    On a GPU, `second` runs on a stream of its own. A recurrence is a long chain of small kernels, each of which leaves
    most of the GPU idle, so that two of them take little longer than one. The second stream waits for what was started
    before the call, and what is started after the call waits for both. Autograd runs the backward pass of each
    operation on the stream of its forward pass, so that the gradients are computed at the same time too.

    Elsewhere, and where `has_streams` is False, the functions run one after the other.
    """
    if not has_streams(shared[0]):
        return first(), second()
    here = torch.cuda.current_stream(shared[0].device)
    beside = _side_stream(shared[0].device)
    beside.wait_stream(here)
    for tensor in shared:  # otherwise its memory could be used again while the other stream, or its backward, reads it
        tensor.record_stream(beside)
    one = first()
    with torch.cuda.stream(beside):
        other = second()
    here.wait_stream(beside)
    other.record_stream(here)
    return one, other


def has_streams(x: Tensor) -> bool:
    """Whether two streams can be used for computations on x.

    Not in a traced graph, nor while a stream is captured, whose graph has an order of its own. Not in float16: for one
    direction PyTorch then chooses cuDNN's persistent kernels, whose blocks occupy the GPU and wait for each other.
    """
    if not x.is_cuda or torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
    return dtype != torch.float16 and not torch.cuda.is_current_stream_capturing()


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
