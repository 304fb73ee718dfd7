"""The output after every token, as if the text ended there."""

from typing import NamedTuple

import torch
from torch import Tensor

from unroll.inference.explaining.reading import Reading, at_step, batches, is_causal, is_per_token, read_outputs
from unroll.nn import SequenceModel


class Prefixes(NamedTuple):
    """The T texts that consist of the first 1, 2, …, T tokens; for labels of tokens, their last tokens.

    Args:
        states: (T, O), see `Reading`.
        scores: (T, L).
        probabilities: float64, (T, L).
    """

    states: Tensor
    scores: Tensor
    probabilities: Tensor


@torch.no_grad()
def read_prefixes(model: SequenceModel, x: Tensor) -> Prefixes:
    """Read all prefixes of one text, x: (1, T, E).

    If the encoder is causal it reads the text once, and the head reads its outputs up to each token. Otherwise the
    prefixes are a batch.
    """
    steps = x.shape[1]
    whole = model.encoder(x, torch.tensor([steps]))[0] if is_causal(model) else None
    parts: list[Prefixes] = []
    for part in batches(range(1, steps + 1)):
        lengths = torch.arange(1, steps + 1)[part]
        shape = len(lengths), int(lengths[-1]), -1
        if whole is None:
            outputs, final = model.encoder(x[:, : shape[1]].expand(shape), lengths)
        else:
            outputs, final = whole[:, : shape[1]].expand(shape), whole[0, part]
        read = read_outputs(model.head, outputs, final, lengths)
        probabilities = model.head.probabilities(read.scores.double(), lengths)
        if is_per_token(model):
            read = Reading(*(at_step(values, lengths - 1) for values in read))
            probabilities = at_step(probabilities, lengths - 1)
        parts.append(Prefixes(*read, probabilities))
    return Prefixes(*map(torch.cat, zip(*parts, strict=True)))
