"""The objectives that a sweep can optimise: entries of a training's record, `run.json`, and their directions."""

from collections.abc import Sequence
from typing import Any, Literal

SCORE = "best_score"  # on the validation split; the one objective whose value is known after every epoch
MEASURED = "microseconds_per_token"
COSTS = ("parameters", "size_bytes", "training_seconds", MEASURED)


def names_of(value: Any) -> list[str]:
    """The value of the key `objectives` as a list; raises ValueError if it is another value, such as one name."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"objectives={value}; accepted: a list, such as objectives=[{SCORE}]")
    return list(value)


def check_objectives(value: Any) -> None:
    """Raise ValueError if the value of the key `objectives` is no list, is empty, or has an unknown name."""
    names = names_of(value)
    if not names or not {SCORE, *COSTS}.issuperset(names):
        raise ValueError(f"objectives={names}; accepted: one or more of {', '.join([SCORE, *COSTS])}")


def directions_of(names: Sequence[str]) -> list[Literal["maximize", "minimize"]]:
    """The direction of each objective; an unknown one is maximised."""
    return ["minimize" if name in COSTS else "maximize" for name in names]


def values_of(record: dict[str, Any], names: Sequence[str]) -> float | list[float]:
    """The values of a training's objectives: a number for one name, a list for several."""
    values = [float(record[name]) for name in names]
    return values[0] if len(values) == 1 else values
