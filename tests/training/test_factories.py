"""An optimizer or a schedule that cannot be built is refused with its key, its value and what is accepted."""

import math
from typing import Any

import pytest

from tests.tiny import tiny_parts
from unroll.training.factories import check_factories

ADAMW = tiny_parts("gru")["optimizer"]
LINEAR = tiny_parts("gru")["scheduler"]


def refused(**optimizer: Any) -> str:
    with pytest.raises(ValueError) as error:
        check_factories(ADAMW | optimizer, LINEAR)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("rate", ["fast", None, True, [0.1], -1, 0, 0.0, math.nan, math.inf])
def test_a_learning_rate_is_a_number_above_zero(rate: Any) -> None:
    assert refused(lr=rate) == f"optimizer.lr={rate!r}; accepted: a number above 0"


@pytest.mark.parametrize("decay", ["none", None, -1, math.nan, math.inf])
@pytest.mark.parametrize("key", ["weight_decay", "eps"])
def test_a_decay_is_a_number_from_zero(key: str, decay: Any) -> None:
    assert refused(**{key: decay}) == f"optimizer.{key}={decay!r}; accepted: a number from 0"


@pytest.mark.parametrize("betas", [[0.9, 2], [0.9, 1], [-0.1, 0.9], [0.9], [0.9, 0.9, 0.9], 0.9, ["a", "b"], None])
def test_betas_are_two_numbers_below_one(betas: Any) -> None:
    assert refused(betas=betas) == f"optimizer.betas={betas!r}; accepted: a list of 2, each a number from 0 to below 1"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"betas": [0.0, 0.5]},
        {"weight_decay": 0, "eps": 0},
        {"_target_": "torch.optim.SGD", "momentum": 0.9, "nesterov": True},
        {"_target_": "torch.optim.Adafactor", "fused": None},
    ],
)
@pytest.mark.parametrize("schedule", ["constant", "linear", "slanted_triangular"])
def test_what_works_passes(options: dict[str, Any], schedule: str) -> None:
    scheduler = {"_target_": f"unroll.training.schedules.{schedule}", "_partial_": True}
    optimizer = ADAMW | options
    check_factories({key: value for key, value in optimizer.items() if value is not None}, scheduler)


def test_what_an_optimizer_itself_refuses_is_one_line() -> None:
    said = refused(_target_="torch.optim.SGD", momentum=0, nesterov=True)
    assert said.startswith("optimizer: Nesterov momentum requires a momentum")


@pytest.mark.parametrize("warmup", [2, -0.1, math.nan])
def test_a_schedule_that_cannot_be_built_is_named(warmup: float) -> None:
    with pytest.raises(ValueError, match=rf"^scheduler\.warmup={warmup}; accepted: 0 to below 1$"):
        check_factories(ADAMW, LINEAR | {"warmup": warmup})


def test_a_schedule_of_other_arguments_is_refused_in_one_line() -> None:
    once = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "_partial_": True, "max_lr": 0.1}
    with pytest.raises(ValueError, match=r"^scheduler: .*max_lr"):
        check_factories(ADAMW, once)
