"""Learning-rate schedules, updated after every one of the `total_steps` optimizer steps of a training."""

import math

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


def slanted_triangular(optimizer: Optimizer, total_steps: int, cut: float = 0.1, ratio: float = 32.0) -> LambdaLR:
    """Increase the learning rate in a fraction `cut` of the steps, then decrease it (Howard and Ruder 2018, eq. 3).

    The rate rises from the optimizer's divided by `ratio` to the optimizer's, and falls to where it began.
    """
    if not 0 < cut < 1:
        raise ValueError(f"scheduler.cut={cut}; accepted: above 0 and below 1")
    if not ratio > 1:
        raise ValueError(f"scheduler.ratio={ratio}; accepted: above 1")
    top = max(1, math.floor(total_steps * cut))

    def share(step: int) -> float:
        rising = step / top if step < top else 1 - (step - top) / max(1, total_steps - top)
        return (1 + max(0.0, rising) * (ratio - 1)) / ratio

    return LambdaLR(optimizer, share)
