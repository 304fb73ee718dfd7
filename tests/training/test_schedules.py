import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from unroll.training.schedules import constant, linear, slanted_triangular

PEAK = 0.5


def make_optimizer() -> SGD:
    return SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)


def rates(optimizer: Optimizer, scheduler: LRScheduler, steps: int) -> list[float]:
    """The learning rates of all steps, and the one after the last step."""
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_constant_stays() -> None:
    optimizer = make_optimizer()
    assert rates(optimizer, constant(optimizer, 10), 10) == [PEAK] * 11


def test_linear_rises_and_falls_by_hand() -> None:
    optimizer = make_optimizer()
    found = rates(optimizer, linear(optimizer, 10, warmup=0.2), 10)
    expected = [1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    assert found == pytest.approx([PEAK * share for share in expected])


@given(total_steps=st.integers(1, 60), warmup=st.floats(0, 1, exclude_max=True))
def test_linear_rises_to_the_optimisers_rate_then_falls_to_zero(total_steps: int, warmup: float) -> None:
    optimizer = make_optimizer()
    found = rates(optimizer, linear(optimizer, total_steps, warmup), total_steps)
    top = int(np.argmax(found))
    assert found[top] == pytest.approx(PEAK)
    assert top == max(1, round(warmup * total_steps)) - 1
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) <= 0).all()
    assert min(found[:-1]) > 0
    assert found[-1] == 0


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 5])
def test_a_warmup_that_is_no_share_is_refused(warmup: float) -> None:
    with pytest.raises(ValueError, match=f"scheduler.warmup={warmup}; accepted: 0 to below 1"):
        linear(make_optimizer(), 10, warmup)


def test_a_slanted_triangle_by_hand() -> None:
    """Equation 3 of Howard and Ruder (2018)."""
    optimizer = make_optimizer()
    found = rates(optimizer, slanted_triangular(optimizer, 10, cut=0.2, ratio=5), 10)
    heights = [0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    assert found == pytest.approx([PEAK * (1 + 4 * height) / 5 for height in heights])


@given(total_steps=st.integers(1, 60), cut=st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_slanted_triangle_is_between_its_lowest_and_its_highest_rate(total_steps: int, cut: float) -> None:
    optimizer = make_optimizer()
    found = rates(optimizer, slanted_triangular(optimizer, total_steps, cut, ratio=8), total_steps)
    assert min(found) >= PEAK / 8 * (1 - 1e-12)
    assert max(found) == pytest.approx(PEAK)


@pytest.mark.parametrize(("key", "value"), [("cut", 0), ("cut", 1.0), ("ratio", 1), ("ratio", 0.5)])
def test_a_triangle_that_is_none_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"scheduler.{key}={value}; accepted: above"):
        slanted_triangular(make_optimizer(), 10, **{key: value})
