"""How the weights of gated recurrences start."""

from torch import nn


def initialise_gates(loop: nn.RNNBase, gates: int) -> None:
    """Gate by gate: recurrent weights orthogonal, input weights Xavier-uniform; biases zero."""
    for name, parameter in loop.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            continue
        for weight in parameter.chunk(gates):
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            else:
                nn.init.xavier_uniform_(weight)
