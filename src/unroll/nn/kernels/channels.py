"""What kernels share whose channels do not depend on each other.

A program keeps the states of a block of channels of one sequence in registers over all steps. The channels of a step
are contiguous, so that a warp reads whole cache lines; `tl.range(num_stages=STAGES)` requests those of the next steps
while a step is computed.

The steps are not split between programs: 64 sequences of 256 channels are 512 warps, four for each processor of an
H100, and at 8 × 1000 × 128 a split, with two launches more, would cost about what it saves.
"""

import triton
import triton.language as tl
from torch import Tensor

STAGES: tl.constexpr = tl.constexpr(8)  # steps under way


def grid_of(states: Tensor, block: int) -> tuple[int, int]:
    """Programs for the states (B, T, H) by blocks of channels: (H / block, B)."""
    return triton.cdiv(states.shape[2], block), states.shape[0]


def channels_per_line(*tensors: Tensor) -> int:
    """The channels of a step that fill a cache line of 128 bytes in each of the tensors."""
    return 128 // min(x.element_size() for x in tensors)


@triton.jit
def own_channels(channels, BLOCK: tl.constexpr):
    """The channels of this program, and which of them exist."""
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    return channel, channel < channels


@triton.jit
def sequence(x, by_sequence):
    """x at the first step of this program's sequence."""
    return x + tl.program_id(1).to(tl.int64) * by_sequence


@triton.jit
def read(x, inside):
    """x in float32, or in float64 where it is that."""
    return tl.load(x, inside, 0.0).to(tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)


@triton.jit
def tanh(x):
    """tanh, in float32; a polynomial near zero, where the quotient loses digits."""
    square = x * x
    small = x * (1 - square * (1 / 3 - square * (2 / 15 - square * (17 / 315))))
    power = tl.exp(-2 * tl.abs(x))
    large = (1 - power) / (1 + power)
    return tl.where(square < 0.04, small, tl.where(x < 0, -large, large))


@triton.jit
def log_sigmoid(x):
    return tl.minimum(x, 0.0) - tl.log(1 + tl.exp(-tl.abs(x)))
