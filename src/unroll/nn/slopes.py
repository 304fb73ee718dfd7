"""The gradient through an activation from its result y, in one pass; `grad_input=` names where it goes."""

import torch

sigmoid_slope = torch.ops.aten.sigmoid_backward  # (d, y) → d y (1 - y)
tanh_slope = torch.ops.aten.tanh_backward  # (d, y) → d (1 - y²)
