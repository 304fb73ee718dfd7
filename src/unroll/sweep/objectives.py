"""The objectives that a sweep can optimise: entries of a training's record, `run.json`, and their directions."""

from collections.abc import Sequence
from typing import Any, Literal

MEASURED = "microseconds_per_token"
SCORE = "best_score"  # on the validation split; the one objective whose value is known after every epoch
Direction = Literal["maximize", "minimize"]
COSTS = ("parameters", "size_bytes", "training_seconds", MEASURED)
DIRECTIONS: dict[str, Direction] = {SCORE: "maximize"} | dict.fromkeys(COSTS, "minimize")


def check_objectives(names: Sequence[str]) -> None:
    """Raise ValueError if there is no name, or an unknown one."""
    if not names or set(names) - set(DIRECTIONS):
        raise ValueError(f"objectives={list(names)}; accepted: one or more of {', '.join(DIRECTIONS)}")


def directions_of(names: Sequence[str]) -> list[Direction]:
    """The direction of each objective; an unknown one is maximised."""
    return [DIRECTIONS.get(name, "maximize") for name in names]


def values_of(record: dict[str, Any], names: Sequence[str]) -> float | list[float]:
    """The values of a training's objectives: a number for one name, a list for several."""
    values = [float(record[name]) for name in names]
    return values[0] if len(values) == 1 else values
