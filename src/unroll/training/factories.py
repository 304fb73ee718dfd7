"""Checks the optimizer and the scheduler of a configuration before a training begins."""

import math
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any

import torch
from hydra.utils import instantiate

from unroll.arguments import check_factory, locate
from unroll.files import reason

STEPS = 100  # of the training that a schedule is tried for

_RATE = (lambda value: 0 < value < math.inf, "a number above 0")
_DECAY = (lambda value: 0 <= value < math.inf, "a number from 0")
_SHARE = (lambda value: 0 <= value < 1, "a number from 0 to below 1")

# Numbers of PyTorch's optimizers, whose own annotations are not checked since they allow tensors: what is accepted.
_NUMBERS: dict[str, tuple[Callable[[float], bool], str]] = {
    "lr": _RATE,
    "weight_decay": _DECAY,
    "eps": _DECAY,
    "momentum": _DECAY,
    "dampening": _DECAY,
    "alpha": _DECAY,
}
_PAIRS = {"betas": _SHARE}


def check_factories(optimizer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Build both for a network of one weight.

    Raises:
        ValueError: one of them does not accept a value.
    """
    if "_target_" in optimizer:
        _check_numbers(optimizer)
    check_factory(optimizer, "optimizer")
    check_factory(scheduler, "scheduler")
    groups = [{"params": [torch.zeros(1, 1, requires_grad=True)]}]
    made = _call("optimizer", lambda: instantiate(optimizer)(groups))
    _call("scheduler", lambda: instantiate(scheduler)(made, STEPS))


def _check_numbers(config: Mapping[str, Any]) -> None:
    """Check the numbers that an optimizer has in the usual form: the eps of Adafactor, for example, is a pair."""
    parameters = signature(locate(config["_target_"], "optimizer")).parameters
    for name, value in config.items():
        default = parameters[name].default if name in parameters else None
        if name in _NUMBERS and (_is_number(default) or default is Parameter.empty):
            is_accepted, accepted = _NUMBERS[name]
            if not _is_number(value) or not is_accepted(value):
                raise ValueError(f"optimizer.{name}={value!r}; accepted: {accepted}")
        elif name in _PAIRS and (isinstance(default, tuple) or default is Parameter.empty):
            is_accepted, accepted = _PAIRS[name]
            size = len(default) if isinstance(default, tuple) else 2
            is_list = isinstance(value, list | tuple) and len(value) == size and all(map(_is_number, value))
            if not is_list or not all(map(is_accepted, value)):
                raise ValueError(f"optimizer.{name}={value!r}; accepted: a list of {size}, each {accepted}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _call(where: str, make: Callable[[], Any]) -> Any:
    """Call a function that makes a part; whatever the part says of its options is an error of the user."""
    try:
        return make()
    except Exception as error:
        cause = error.__cause__ or error  # Hydra's error has the part's as its cause
        text = reason(cause)
        raise ValueError(text if text.startswith(f"{where}.") else f"{where}: {text}") from error
