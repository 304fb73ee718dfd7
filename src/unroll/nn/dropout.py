"""Dropout for sequences and for recurrent weights."""

import torch.nn.functional as F
from torch import Tensor, nn


class VariationalDropout(nn.Module):
    """Dropout with one mask per sequence, shared by all its steps (Gal and Ghahramani 2016).

    In training the output is x ⊙ m / (1 - p) with m ~ Bernoulli(1 - p); in evaluation it is x.

    Args:
        p: probability of dropping a feature.

    Raises:
        ValueError: `p` is not in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout={p}; accepted: 0 to below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, F) → (B, T, F)."""
        if not self.training or self.p == 0:
            return x
        mask = F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.p)  # (B, 1, F) of 0 and 1 / (1 - p)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


class WeightDropout(nn.Dropout):
    """DropConnect (Wan et al. 2013) on a recurrent weight, as in the AWD-LSTM (Merity et al. 2018).

    In training each entry of W is set to 0 with probability p and divided by 1 - p otherwise. A cell calls it once per
    forward pass, so that all steps of all sequences use the same mask.

    Args:
        p: probability of dropping an entry.

    Raises:
        ValueError: `p` is not in [0, 1).
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"weight_dropout={p}; accepted: 0 to below 1")
        super().__init__(p)
