"""The influence of each token: what the output loses when the token is hidden.

A hidden token is replaced by an unknown word in lower case, spelled with one unknown character. Unlike removing it,
this keeps the places of the other tokens and the length, and hides the only token of a text too. Word dropout trains
the vector of the unknown word, so that a network knows it.
"""

import numpy as np
import torch
from torch import Tensor

from unroll.data.tokens import UNKNOWN, Casing, Spelling, Task, Tokens
from unroll.inference.explaining.explanation import log_odds
from unroll.inference.explaining.reading import batches, read_vectors
from unroll.nn import SequenceModel


@torch.no_grad()
def occlude(model: SequenceModel, x: Tensor) -> np.ndarray:
    """The probabilities of one text, x: (1, T, E), with each token hidden in turn: (T, L), or (T, T, L)."""
    length = x.shape[1]
    hidden = hidden_vector(model)
    parts = []
    for part in batches([length] * length):
        some = torch.arange(length)[part]
        rows = x.repeat(len(some), 1, 1)
        rows[torch.arange(len(some)), some] = hidden
        lengths = torch.full((len(some),), length)
        parts.append(model.head.probabilities(read_vectors(model, rows, lengths).scores.double(), lengths))
    return torch.cat(parts).numpy()


def hidden_vector(model: SequenceModel) -> Tensor:
    """The vector of a hidden token, (E,)."""
    unknown = torch.tensor([[UNKNOWN]])
    casing = torch.tensor([[Casing.LOWER]])
    tokens = Tokens(unknown, casing, torch.tensor([1]), Spelling(unknown, torch.tensor([[0]])))
    return model.embedding(tokens)[0, 0]


def influence(probabilities: np.ndarray, occluded: np.ndarray, labels: np.ndarray, task: Task) -> np.ndarray:
    """The log-odds of the whole text minus those with token i hidden.

    Args:
        probabilities: (L,), or (T, L).
        occluded: from `occlude`, (T, L), or (T, T, L).
        labels: for labels of tokens, that of each, (T,).

    Returns:
        (T, L), or (T, T): row t is of the label of token t, column i of the hidden token i.
    """
    lost: np.ndarray = log_odds(probabilities, task) - log_odds(occluded, task)
    if lost.ndim == 2:
        return lost
    return lost[:, np.arange(len(labels)), labels].T
