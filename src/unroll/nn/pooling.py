"""From the encoder's outputs to one vector a sequence."""

from typing import Literal, get_args

from torch import Tensor

from unroll.nn.encoder import padding_mask

Pooling = Literal["last", "mean", "max"]


def check_pooling(pooling: str) -> None:
    if pooling not in get_args(Pooling):
        raise ValueError(f"pooling={pooling!r}; accepted: {', '.join(get_args(Pooling))}")


def pool(outputs: Tensor, final: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """outputs: (B, T, O), final: (B, O), lengths: (B,) → (B, O).

    `last` is the encoder's final state; `mean` and `max` go over the real tokens.
    """
    if pooling == "last":
        return final
    mask = padding_mask(lengths, outputs.shape[1])[:, :, None]  # (B, T, 1)
    if pooling == "mean":
        return (outputs * mask).sum(dim=1) / lengths[:, None]
    return outputs.masked_fill(~mask, float("-inf")).amax(dim=1)
