"""unroll: recurrent networks on text - train, compare, register and serve."""
