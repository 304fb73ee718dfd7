"""DropConnect (Wan et al. 2013) on recurrent weights, as Merity et al. (2018) regularise the LSTM."""

from torch import nn


class WeightDropout(nn.Dropout):
    """In training each weight is 0 with probability p, and divided by 1 - p otherwise.

    Called on W once a forward pass, so that every step of every sequence sees the same mask.

    Raises:
        ValueError: `p` is not a probability below 1.
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"weight_dropout={p}; accepted: 0 or more, and less than 1")
        super().__init__(p)
