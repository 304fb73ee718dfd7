"""How the weights of gated recurrences start."""

from torch import Tensor, nn


def initialise_gates(input_weight: Tensor, recurrent_weight: Tensor, gates: int) -> None:
    """U: (gates · H, I) Xavier-uniform, W: (gates · H, H) orthogonal, each gate by itself."""
    for block in input_weight.chunk(gates):
        nn.init.xavier_uniform_(block)
    for block in recurrent_weight.chunk(gates):
        nn.init.orthogonal_(block)
