"""Which label may stand first, and which may follow which."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Constraints(NamedTuple):
    """`starts`: (L,), True where a sequence may start; `transitions`: (L, L), True where [from, to] may follow."""

    starts: Tensor
    transitions: Tensor


def iob2_constraints(label_names: Sequence[str]) -> Constraints:
    """What IOB2 allows: I-X stands right after B-X or I-X, never first; everything else is free.

    The names are taken to be IOB2, in any order; a type may come without its I-X.
    """
    inside = torch.tensor([name.startswith("I-") for name in label_names])  # (L,)
    opened = [[name[:2] in ("B-", "I-") and name[2:] == to[2:] for to in label_names] for name in label_names]
    return Constraints(starts=~inside, transitions=~inside | torch.tensor(opened))
