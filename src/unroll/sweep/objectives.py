"""What a training can be compared by: names of its record, `run.json`, and which way each is better."""

from collections.abc import Sequence
from typing import Any, Literal

MEASURED = "microseconds_per_token"
SCORE = "best_score"  # of validation: also what each epoch has
Direction = Literal["maximize", "minimize"]
DIRECTIONS: dict[str, Direction] = {
    SCORE: "maximize",
    "parameters": "minimize",
    "size_bytes": "minimize",
    "training_seconds": "minimize",
    MEASURED: "minimize",
}


def check_objectives(names: Sequence[str]) -> None:
    """Raises ValueError for none, and for one that there is not."""
    if not names or set(names) - set(DIRECTIONS):
        raise ValueError(f"objectives={list(names)}; accepted: one or more of {', '.join(DIRECTIONS)}")


def directions_of(names: Sequence[str]) -> list[Direction]:
    """Which way each is better; of what is not a training's, the more the better."""
    return [DIRECTIONS.get(name, "maximize") for name in names]


def values_of(record: dict[str, Any], names: Sequence[str]) -> float | list[float]:
    """A number for one name, a list for several."""
    values = [float(record[name]) for name in names]
    return values[0] if len(values) == 1 else values
