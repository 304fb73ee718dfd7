"""Learning-rate schedules, updated after every one of the `total_steps` optimizer steps of a training."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the learning rate of the optimizer."""
    return LambdaLR(optimizer, lambda step: 1.0)


def linear(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Increase the learning rate to the optimizer's in a fraction `warmup` of the steps, then decrease it to zero."""
    if not 0 <= warmup < 1:
        raise ValueError(f"scheduler.warmup={warmup}; accepted: 0 to below 1")
    rising = max(1, round(warmup * total_steps))
    falling = max(1, total_steps - rising)
    return LambdaLR(optimizer, lambda step: min((step + 1) / rising, max(0.0, (total_steps - step) / falling)))
