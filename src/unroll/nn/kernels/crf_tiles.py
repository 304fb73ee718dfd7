"""What the kernels of the CRF share: their arguments, and the scores of a chain as tiles in registers."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.crf_likelihood import Chain


def pointers(chain: Chain) -> list[Tensor]:
    """The tensors of a chain, with scores, which are not read, in place of missing constraints."""
    scores = [score.contiguous() for score in chain[:3]]
    return [*scores, *(own if own is not None else scores[0] for own in chain[3:])]


def options(chain: Chain, dtype: torch.dtype, num_labels: int) -> dict[str, Any]:
    """The constants of a kernel, and its warps."""
    padded = max(16, triton.next_power_of_2(num_labels))
    return {
        "num_labels": num_labels,
        "CONSTRAINED": chain.forbidden_starts is not None,
        "DOUBLE": dtype is torch.float64,
        "LABELS": padded,
        "num_warps": max(1, padded * padded * dtype.itemsize // 4096),  # 128 bytes of a tile in a thread
    }


@triton.jit
def transition_tile(
    transitions, forbidden, row, column, num_labels: tl.constexpr, CONSTRAINED: tl.constexpr, DTYPE: tl.constexpr,
    LABELS: tl.constexpr,
):  # fmt: skip
    """Transitions (LABELS, LABELS), -∞ if forbidden or padding; the strides say which way they are read."""
    x = tl.arange(0, LABELS)
    places = x[:, None] * row + x[None, :] * column
    real = (x < num_labels)[:, None] & (x < num_labels)[None, :]
    tile = tl.load(transitions + places, mask=real, other=float("-inf")).to(DTYPE)
    if CONSTRAINED:
        tile = tl.where(tl.load(forbidden + places, mask=real, other=1) != 0, float("-inf"), tile)
    return tile


@triton.jit
def edge_scores(
    scores, forbidden, num_labels: tl.constexpr, CONSTRAINED: tl.constexpr, DTYPE: tl.constexpr, LABELS: tl.constexpr
):
    """Start or end scores (LABELS,), 0 at padding, where the logits are -∞."""
    x = tl.arange(0, LABELS)
    found = tl.load(scores + x, mask=x < num_labels, other=0).to(DTYPE)
    if CONSTRAINED:
        found = tl.where(tl.load(forbidden + x, mask=x < num_labels, other=0) != 0, float("-inf"), found)
    return found


@triton.jit
def finite(peak):
    """A maximum, with 0 in place of -∞, which cannot be subtracted from -∞."""
    return tl.where(peak == float("-inf"), 0.0, peak)
