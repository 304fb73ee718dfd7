"""What kernels share whose programs compute a recurrence with a matrix W together.

A program for whole sequences would read all of W at every step: a megabyte at 256 hidden units, ten microseconds from
the L2 cache to one processor. So the hidden units are split between programs, each reads its own part of W only, and
the loop over the steps is one cooperative launch, in which all programs run at the same time and those of the same
sequences wait, after each step, until every one of them has written its part of the state. A launch takes half of the
device, since both directions of an encoder run at the same time: if each had only some of its programs running, they
would wait for ever.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

SLICES: tl.constexpr = tl.constexpr(4)  # parts into which the sums of a product are split, one for each warp
LINE: tl.constexpr = tl.constexpr(32)  # int32 numbers in a cache line; counters in one line would delay each other
SIZES = ["start", "stop", "steps", "sequence", "batch"]  # arguments whose values need no code of their own


class Blocks(NamedTuple):
    """Sequences and hidden units of a program."""

    sequences: int
    units: int


BLOCKS = (Blocks(16, 8), Blocks(32, 8), Blocks(16, 16), Blocks(32, 16))  # from little to much work at each step


def blocks_for(x: Tensor, batch: int, heads: int, hidden: int) -> Blocks | None:
    """Blocks with which no more programs run at a time than there is room for on the device of x; `heads` groups of
    `hidden` units depend on each other.

    They are the smallest that take the batch in one launch, or else the largest; None if there are too many units.
    """
    room = room_on(x)
    possible = [blocks for blocks in BLOCKS if programs(1, heads, hidden, blocks) <= room]
    enough = [blocks for blocks in possible if programs(batch, heads, hidden, blocks) <= room]
    return enough[0] if enough else possible[-1] if possible else None


def programs(batch: int, heads: int, hidden: int, blocks: Blocks) -> int:
    return triton.cdiv(batch, blocks.sequences) * triton.cdiv(hidden, blocks.units) * heads


def room_on(x: Tensor) -> int:
    """The number of programs of a launch, half of the processors of the device of x; any number in the interpreter."""
    return torch.cuda.get_device_properties(x.device).multi_processor_count // 2 if x.is_cuda else 16


def launch(kernel: Any, *tensors: Tensor, steps: int, batch: int, heads: int, hidden: int, **constants: Any) -> None:
    """Run the kernel for all steps: in one launch, or in several if the batch is too large for one.

    The interpreter runs one program after another, so that none can wait for the next: there a step is a launch.
    """
    x = tensors[0]
    blocks = blocks_for(x, batch, heads, hidden)
    assert blocks is not None
    units = triton.cdiv(hidden, blocks.units)
    at_a_time = room_on(x) // (units * heads) * blocks.sequences
    span = steps if x.is_cuda else 1
    constants |= {"HIDDEN": hidden, "ROWS": blocks.sequences, "UNITS": blocks.units, "PRECISION": precision()}
    for sequence in range(0, batch, at_a_time):
        grid = (triton.cdiv(min(at_a_time, batch - sequence), blocks.sequences), units, heads)
        arrived = torch.zeros(grid[0] * heads * LINE.value, dtype=torch.int32, device=x.device)
        for step in range(0, steps, span):
            with torch.cuda.device_of(x):
                kernel[grid](
                    *tensors, arrived, step, step + span, steps, sequence, batch,
                    **constants, **resources(blocks, constants["PRECISION"]), launch_cooperative_grid=True,
                )  # fmt: skip


def resources(blocks: Blocks, precision: str) -> dict[str, int]:
    """Warps, and stages of the loop over a sum, with which a program needs few more registers than there are and at
    most 64 KiB of shared memory."""
    full = precision == "ieee" and blocks == BLOCKS[-1]
    return {"num_warps": 2 * SLICES.value if full else SLICES.value, "num_stages": 3 if blocks.units == 8 else 2}


def precision() -> str:
    """Of the products, by PyTorch's setting for those of float32 matrices."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"


@triton.jit
def wait_for_all(arrived, i):
    """Wait until all programs of these sequences and this head have called this after step i."""
    counter = arrived + (tl.program_id(0) * tl.num_programs(2) + tl.program_id(2)) * LINE
    tl.debug_barrier()  # all threads have written
    tl.atomic_add(counter, 1, sem="release")
    while tl.atomic_add(counter, 0, sem="acquire") < (i + 1) * tl.num_programs(1):
        pass
    tl.debug_barrier()  # no thread reads before


@triton.jit
def own_block(sequence, batch, ROWS: tl.constexpr, UNITS: tl.constexpr):
    """This program's sequences (ROWS,), in int64, which of them exist, and its units (UNITS,) of its head."""
    rows = sequence + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    return rows.to(tl.int64), rows < batch, tl.program_id(1) * UNITS + tl.arange(0, UNITS)


@triton.jit
def product(
    left, rows_exist, right, right_k, columns_exist,
    SIZE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Σₖ left[row, k] right[k, column] over k < SIZE → (ROWS, COLUMNS).

    left: pointers (ROWS,) at k = 0, with k side by side; right: pointers (COLUMNS,) at k = 0, `right_k` apart in k.
    """
    DEPTH: tl.constexpr = 32
    LENGTH: tl.constexpr = (SIZE + SLICES * DEPTH - 1) // (SLICES * DEPTH) * DEPTH  # of a slice
    first = tl.arange(0, SLICES)[:, None] * LENGTH + tl.arange(0, DEPTH)[None, :]  # k (SLICES, DEPTH)
    sums = tl.zeros([SLICES, ROWS, COLUMNS], tl.float32)
    for start in tl.range(0, LENGTH, DEPTH):
        k = first + start
        exists = k < SIZE
        a = tl.load(left[None, :, None] + k[:, None, :], exists[:, None, :] & rows_exist[None, :, None], 0.0)
        b = tl.load(
            right[None, None, :] + k[:, :, None] * right_k, exists[:, :, None] & columns_exist[None, None, :], 0.0
        )
        sums = tl.dot(a, b, sums, input_precision=PRECISION)
    return tl.sum(sums, axis=0)
