"""A linear-chain CRF (`unroll.nn.crf`) in three kernels, of which a program computes all steps of a sequence.

A step is a log Σ exp, or a maximum, over an (L, L) tile in registers, so that no term is lost whatever the scores are,
and any may be -∞. Labels of score -∞ pad L to a power of two.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from unroll.nn.crf_likelihood import Chain, Gradients, computed_in
from unroll.nn.kernels.crf_tiles import edge_scores, finite, options, pointers, transition_tile

STEPS = 8  # a program for gradients computes at least so many steps
PROGRAMS = 2048  # and there are about so many at most, since each writes sums of shape (L + 2, L)


def most_labels(dtype: torch.dtype) -> int:
    """The most labels whose tiles fit into the registers of a program, for logits of type `dtype`."""
    return 64 if computed_in(dtype) is torch.float64 else 128


def forward_backward(logits: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """See `Way`. The second result is NaN for a sequence whose length or a label of which is out of range."""
    batch, steps, num_labels = logits.shape
    dtype = computed_in(logits.dtype)
    scores = logits.new_empty(2, batch, steps, num_labels, dtype=dtype)
    losses = logits.new_empty(batch, dtype=dtype)
    known = lengths if labels is None else labels.contiguous()
    with torch.cuda.device_of(logits):
        forward_backward_kernel[(batch, 2)](
            *(logits, known, lengths.contiguous(), *pointers(chain), scores, losses),
            *(steps, *logits.stride()),
            HAS_LABELS=labels is not None,
            GOLD_STEPS=128,
            **options(chain, dtype, num_labels),
        )
    return scores, losses


def gradients(scores: Tensor, chain: Chain, labels: Tensor | None, lengths: Tensor, weights: Tensor) -> Gradients:
    """See `Way`. Sums are taken in an order that depends on nothing but the shape."""
    _, batch, steps, num_labels = scores.shape
    size = max(STEPS, triton.cdiv(batch * steps, PROGRAMS))
    parts = triton.cdiv(steps, size)
    by_logits = torch.empty_like(scores[0])
    sums = scores.new_empty(batch, parts, num_labels + 2, num_labels)
    known = lengths if labels is None else labels.contiguous()
    with torch.cuda.device_of(scores):
        gradients_kernel[(batch, parts)](
            *(scores, known, lengths.contiguous(), *pointers(chain), weights, by_logits, sums),
            *(batch, steps, size, weights.stride(0)),
            HAS_LABELS=labels is not None,
            HAS_WEIGHTS=True,
            **options(chain, scores.dtype, num_labels),
        )
    total = sums.sum(dim=(0, 1))  # (L + 2, L)
    return Gradients(by_logits, total[num_labels], total[:num_labels], total[num_labels + 1])


def marginals(scores: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """See `Way`; the gradient of log Z by the logits."""
    _, batch, steps, num_labels = scores.shape
    found = torch.empty_like(scores[0])
    lengths = lengths.contiguous()
    with torch.cuda.device_of(scores):
        gradients_kernel[(batch, triton.cdiv(steps, STEPS))](
            *(scores, lengths, lengths, *pointers(chain), scores, found, scores),
            *(batch, steps, STEPS, 0),
            HAS_LABELS=False,
            HAS_WEIGHTS=False,
            **options(chain, scores.dtype, num_labels),
        )
    return found


def best_paths(logits: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """See `Way`. The sums are those of the loop, to the bit, and so is the choice among equal ones."""
    batch, steps, num_labels = logits.shape
    origins = torch.empty(batch, steps, num_labels, dtype=torch.uint8, device=logits.device)
    paths = torch.empty(batch, steps, dtype=torch.long, device=logits.device)
    with torch.cuda.device_of(logits):
        best_paths_kernel[(batch,)](
            *(logits, lengths.contiguous(), *pointers(chain), origins, paths),
            *(steps, *logits.stride()),
            **options(chain, computed_in(logits.dtype), num_labels),
        )
    return paths


@triton.jit(do_not_specialize=["steps", "batch_stride", "time_stride"])
def forward_backward_kernel(
    logits, labels, lengths, start, transitions, end, forbidden_starts, forbidden_transitions, scores, losses, steps,
    batch_stride, time_stride, label_stride, num_labels: tl.constexpr, HAS_LABELS: tl.constexpr,
    GOLD_STEPS: tl.constexpr, CONSTRAINED: tl.constexpr, DOUBLE: tl.constexpr, LABELS: tl.constexpr,
):  # fmt: skip
    """A program for each sequence and direction: forward, which writes the loss too, and backward."""
    DTYPE: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    sequence = tl.program_id(0).to(tl.int64)
    is_forward = tl.program_id(1) == 0
    given = tl.load(lengths + sequence)
    length = tl.minimum(given, steps).to(tl.int32)
    x = tl.arange(0, LABELS)
    real = x < num_labels
    time_stride = time_stride.to(tl.int64)
    # From the label that was summed over last to the next one: backward, to the label before.
    row = tl.where(is_forward, num_labels, 1)
    column = tl.where(is_forward, 1, num_labels)
    moves = transition_tile(transitions, forbidden_transitions, row, column, num_labels, CONSTRAINED, DTYPE, LABELS)
    first = edge_scores(start, forbidden_starts, num_labels, CONSTRAINED, DTYPE, LABELS)
    last = edge_scores(end, forbidden_starts, num_labels, False, DTYPE, LABELS)
    logits += sequence * batch_stride
    scores += (tl.program_id(1).to(tl.int64) * tl.num_programs(0) + sequence) * steps * num_labels

    step = tl.where(is_forward, 0, length - 1)
    advance = tl.where(is_forward, 1, -1)
    total = tl.full((), 0, tl.float64)
    message = tl.zeros((LABELS,), DTYPE)
    own = message
    row_start = logits + x * label_stride
    ahead = tl.load(row_start + step * time_stride, mask=real & (length > 0), other=float("-inf"))
    for i in range(length):
        current = ahead.to(DTYPE)
        later = step + advance
        ahead = tl.load(row_start + later * time_stride, mask=real & (i + 1 < length), other=float("-inf"))
        current += tl.where(step == 0, first, 0.0)
        current += tl.where(step == length - 1, last, 0.0)
        own = message + current
        peak = finite(tl.max(own, 0))
        own -= peak
        total += peak.to(tl.float64)
        tl.store(scores + step * num_labels + x, own, mask=real)
        tile = own[:, None] + moves
        peaks = finite(tl.max(tile, 0))
        message = peaks + tl.log(tl.sum(tl.exp(tile - peaks[None, :]), 0))
        step += advance
    for i in range(length, steps):
        tl.store(scores + i * num_labels + x, tl.zeros((LABELS,), DTYPE), mask=real)

    if is_forward:
        loss = total + tl.log(tl.sum(tl.exp(own), 0)).to(tl.float64)
        wrong = ((given < 1) | (given > steps)).to(tl.int32)
        if HAS_LABELS:
            labels += sequence * steps
            for begin in range(0, length, GOLD_STEPS):
                at = begin + tl.arange(0, GOLD_STEPS)
                within = at < length
                label = tl.load(labels + at, mask=within, other=0)
                before = tl.load(labels + at - 1, mask=within & (at > 0), other=0)
                known = (label >= 0) & (label < num_labels)
                wrong += tl.sum((within & ~known).to(tl.int32), 0)
                within = within & known
                score = tl.load(logits + at * time_stride + label * label_stride, mask=within, other=0)
                score = score.to(DTYPE)
                score += tl.load(start + label, mask=within & (at == 0), other=0).to(DTYPE)
                score += tl.load(end + label, mask=within & (at == length - 1), other=0).to(DTYPE)
                moved = within & (at > 0) & (before >= 0) & (before < num_labels)
                move = before * num_labels + label
                score += tl.load(transitions + move, mask=moved, other=0).to(DTYPE)
                if CONSTRAINED:
                    starts = tl.load(forbidden_starts + label, mask=within & (at == 0), other=0) != 0
                    forbidden = starts | (tl.load(forbidden_transitions + move, mask=moved, other=0) != 0)
                    score = tl.where(forbidden, float("-inf"), score)
                loss -= tl.sum(score.to(tl.float64), 0)
        tl.store(losses + sequence, tl.where(wrong > 0, float("nan"), loss).to(DTYPE))


@triton.jit(do_not_specialize=["batch", "steps", "size"])
def gradients_kernel(
    scores, labels, lengths, start, transitions, end, forbidden_starts, forbidden_transitions, weights, by_logits,
    sums, batch, steps, size, weight_stride, num_labels: tl.constexpr, HAS_LABELS: tl.constexpr,
    HAS_WEIGHTS: tl.constexpr, CONSTRAINED: tl.constexpr, DOUBLE: tl.constexpr, LABELS: tl.constexpr,
):  # fmt: skip
    """A program for each sequence and part of `size` steps; without weights they are 1, and no sums are written.

    Its sums (L + 2, L) are the gradients by the transitions, the start scores and the end scores.
    """
    DTYPE: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    sequence = tl.program_id(0).to(tl.int64)
    begin = tl.program_id(1) * size
    stop = tl.minimum(begin + size, steps)
    length = tl.minimum(tl.load(lengths + sequence), steps).to(tl.int32)
    weight = tl.full((), 1, DTYPE)
    if HAS_WEIGHTS:
        weight = tl.load(weights + sequence * weight_stride).to(DTYPE)
    x = tl.arange(0, LABELS)
    real = x < num_labels
    moves = transition_tile(transitions, forbidden_transitions, num_labels, 1, num_labels, CONSTRAINED, DTYPE, LABELS)
    forward = scores + sequence * steps * num_labels + x
    backward = forward + batch.to(tl.int64) * steps * num_labels
    by_logits += sequence * steps * num_labels
    labels += sequence * steps
    # In front of the first step stands one label, from which the move to each is free.
    only = tl.where(x == 0, 0.0, float("-inf")).to(DTYPE)

    counts = tl.zeros((LABELS, LABELS), DTYPE)
    at_start = tl.zeros((LABELS,), DTYPE)
    at_end = tl.zeros((LABELS,), DTYPE)
    for i in range(begin, tl.minimum(stop, length)):
        here = i * num_labels
        before = tl.load(forward + here - num_labels, mask=real & (i > 0), other=float("-inf"))
        after = tl.load(backward + here, mask=real, other=float("-inf"))
        tile = tl.where(i > 0, before[:, None] + moves, only[:, None]) + after[None, :]
        tile = tl.exp(tile - finite(tl.max(tl.max(tile, 0), 0)))
        tile = tile / tl.sum(tl.sum(tile, 0), 0)  # p(yᵢ₋₁ = x, yᵢ = y)
        unary = tl.sum(tile, 0)
        if HAS_LABELS:
            label = tl.load(labels + i)
            origin = tl.load(labels + i - 1, mask=i > 0, other=-1)
            unary -= tl.where(x == label, 1.0, 0.0)
            tile -= tl.where((x == origin)[:, None] & (x == label)[None, :], 1.0, 0.0)
        tl.store(by_logits + here + x, unary * weight, mask=real)
        counts += tl.where(i > 0, tile, 0.0)
        at_start += tl.where(i == 0, unary, 0.0)
        at_end += tl.where(i == length - 1, unary, 0.0)
    for i in range(tl.maximum(begin, length), stop):
        tl.store(by_logits + i * num_labels + x, tl.zeros((LABELS,), DTYPE), mask=real)

    if HAS_WEIGHTS:
        sums += (sequence * tl.num_programs(1) + tl.program_id(1)) * (num_labels + 2) * num_labels
        # A gold label may be forbidden; its loss is infinite, and does not depend on the score.
        counts = tl.where(moves == float("-inf"), 0.0, counts)
        if CONSTRAINED:
            at_start = tl.where(tl.load(forbidden_starts + x, mask=real, other=0) != 0, 0.0, at_start)
        places = x[:, None] * num_labels + x[None, :]
        tl.store(sums + places, counts * weight, mask=real[:, None] & real[None, :])
        tl.store(sums + num_labels * num_labels + x, at_start * weight, mask=real)
        tl.store(sums + (num_labels + 1) * num_labels + x, at_end * weight, mask=real)


@triton.jit(do_not_specialize=["steps", "batch_stride", "time_stride"])
def best_paths_kernel(
    logits, lengths, start, transitions, end, forbidden_starts, forbidden_transitions, origins, paths, steps,
    batch_stride, time_stride, label_stride, num_labels: tl.constexpr, CONSTRAINED: tl.constexpr,
    DOUBLE: tl.constexpr, LABELS: tl.constexpr,
):  # fmt: skip
    """A program for each sequence: the Viterbi algorithm, whose back pointers are `origins`."""
    DTYPE: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    sequence = tl.program_id(0).to(tl.int64)
    length = tl.minimum(tl.load(lengths + sequence), steps).to(tl.int32)
    x = tl.arange(0, LABELS)
    real = x < num_labels
    moves = transition_tile(transitions, forbidden_transitions, num_labels, 1, num_labels, CONSTRAINED, DTYPE, LABELS)
    first = edge_scores(start, forbidden_starts, num_labels, CONSTRAINED, DTYPE, LABELS)
    last = edge_scores(end, forbidden_starts, num_labels, False, DTYPE, LABELS)
    time_stride = time_stride.to(tl.int64)
    row_start = logits + sequence * batch_stride + x * label_stride
    origins += sequence * steps * num_labels
    paths += sequence * steps

    best = tl.zeros((LABELS,), DTYPE)  # score of the best path to each label
    ahead = tl.load(row_start, mask=real & (length > 0), other=float("-inf"))
    for i in range(length):
        current = ahead.to(DTYPE)
        ahead = tl.load(row_start + (i + 1) * time_stride, mask=real & (i + 1 < length), other=float("-inf"))
        current += tl.where(i == 0, first, 0.0)
        current += tl.where(i == length - 1, last, 0.0)
        reached, origin = tl.max(best[:, None] + moves, 0, return_indices=True)
        tl.store(origins + i * num_labels + x, origin.to(tl.uint8), mask=real)
        best = tl.where(i == 0, 0.0, reached) + current
    _, label = tl.max(best, 0, return_indices=True)
    tl.debug_barrier()  # the program's other threads have written their origins
    for back in range(length):
        i = length - 1 - back
        label = tl.minimum(label, num_labels - 1)  # of NaN the maximum is anywhere
        tl.store(paths + i, label.to(tl.int64))
        label = tl.load(origins + i * num_labels + label).to(tl.int32)
    for i in range(length, steps):
        tl.store(paths + i, tl.full((), 0, tl.int64))
