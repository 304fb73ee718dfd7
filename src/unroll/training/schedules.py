"""Learning-rate schedules, updated after every optimizer step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the learning rate of the optimizer."""
    return LambdaLR(optimizer, lambda step: 1.0)


def linear(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Increase the learning rate linearly to that of the optimizer, then decrease it linearly to zero.

    Args:
        total_steps: number of optimizer steps in the whole training.
        warmup: fraction of the steps in which the learning rate increases.

    Raises:
        ValueError: `warmup` is not in [0, 1).
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"scheduler.warmup={warmup}; accepted: 0 to below 1")
    rising = max(1, round(warmup * total_steps))
    falling = max(1, total_steps - rising)
    return LambdaLR(optimizer, lambda step: min((step + 1) / rising, max(0.0, (total_steps - step) / falling)))
