"""Dropout for sequences."""

import torch.nn.functional as F
from torch import Tensor, nn


class VariationalDropout(nn.Module):
    """In training, x ⊙ m / (1 - p): one mask m ~ Bernoulli(1 - p) a sequence, the same at every step.

    A feature that is dropped is dropped for the whole sequence (Gal and Ghahramani 2016). Does nothing in evaluation.

    Raises:
        ValueError: p is not at least 0 and below 1.
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
