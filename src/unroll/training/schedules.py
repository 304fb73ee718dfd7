"""Learning-rate schedules, by optimiser step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The optimiser's learning rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0)


def linear(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LambdaLR:
    """From zero to the optimiser's learning rate over the share `warmup` of the steps, then in a line to zero.

    Raises:
        ValueError: `warmup` is not a share.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"scheduler.warmup={warmup}; accepted: 0 to below 1")
    rising = max(1, round(warmup * total_steps))
    falling = max(1, total_steps - rising)
    return LambdaLR(optimizer, lambda step: min((step + 1) / rising, max(0.0, (total_steps - step) / falling)))
