"""The package's CRF next to pytorch-crf."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchcrf import CRF

from benchmarks.timing import Row, alternate, time_row, timed
from unroll.nn.crf import LinearChainCRF
from unroll.nn.encoder import padding_mask

BATCH, STEPS, LABELS = 32, 50, 9
TOLERANCE = 1e-5


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    ours, theirs = LinearChainCRF(LABELS), CRF(LABELS, batch_first=True)
    with torch.no_grad():
        theirs.start_transitions.copy_(ours.start)
        theirs.end_transitions.copy_(ours.end)
        theirs.transitions.copy_(ours.transitions)
    logits = torch.randn(BATCH, STEPS, LABELS, requires_grad=True)
    labels = torch.randint(LABELS, (BATCH, STEPS))
    lengths = torch.randint(STEPS // 2, STEPS + 1, (BATCH,))
    lengths[0] = STEPS
    mask = padding_mask(lengths, STEPS)

    def our_step() -> list[Tensor]:
        loss = ours.loss(logits, labels, lengths)
        return [loss, *torch.autograd.grad(loss, [logits, ours.start, ours.transitions, ours.end])]

    def their_step() -> list[Tensor]:
        loss = -theirs(logits, labels, mask, reduction="token_mean")
        weights = [theirs.start_transitions, theirs.transitions, theirs.end_transitions]
        return [loss, *torch.autograd.grad(loss, [logits, *weights])]

    difference = max((a - b).abs().max().item() for a, b in zip(our_step(), their_step(), strict=True))
    best = [path[:length] for path, length in zip(ours.decode(logits, lengths).tolist(), lengths.tolist(), strict=True)]
    if difference > TOLERANCE or best != theirs.decode(logits, mask):
        raise ValueError(f"the CRFs differ: by {difference:.1e} (accepted: {TOLERANCE:.0e}), or in the best paths")

    shape = f"{BATCH} × {STEPS} × {LABELS}, lengths of 50 to 100 %"
    medians = alternate(timed(our_step), timed(their_step))
    yield time_row(f"CRF, loss and backward, {shape}", "pytorch-crf", medians)
    yield Row("CRF, largest difference of loss and gradients; best paths are equal", difference, "", "pytorch-crf")
    with torch.no_grad():
        medians = alternate(timed(lambda: ours.decode(logits, lengths)), timed(lambda: theirs.decode(logits, mask)))
    yield time_row(f"CRF, decoding, {shape}", "pytorch-crf", medians)
