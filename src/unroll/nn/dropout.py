"""Dropout for sequences and for recurrent weights."""

import torch.nn.functional as F
from torch import Tensor, nn

from unroll.checks import check_below_one


class VariationalDropout(nn.Dropout):
    """Dropout of features with one mask per sequence, shared by all its steps (Gal and Ghahramani 2016).

    In training the output is x ⊙ m / (1 - p) with m ~ Bernoulli(1 - p); in evaluation it is x.
    """

    def __init__(self, p: float) -> None:
        check_below_one(dropout=p)
        super().__init__(p)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, F) → (B, T, F)."""
        if not self.training or self.p == 0:
            return x
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.p)  # by (B, 1, F) of 0 and 1 / (1 - p)


class WeightDropout(nn.Dropout):
    """DropConnect (Wan et al. 2013) on a recurrent weight, as in the AWD-LSTM (Merity et al. 2018).

    A cell calls it once per forward pass, so that all steps of all sequences use the same mask.
    """

    def __init__(self, p: float) -> None:
        check_below_one(weight_dropout=p)
        super().__init__(p)
