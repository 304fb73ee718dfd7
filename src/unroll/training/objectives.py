"""What a training can be compared by: names of its record, `run.json`, and which way each is better."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from unroll.data.prepared import PreparedData

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
REPETITIONS = 3


def check_objectives(names: Sequence[str]) -> None:
    """Raises ValueError for none, and for one that there is not."""
    if not names or set(names) - set(DIRECTIONS):
        raise ValueError(f"objectives={list(names)}; accepted: one or more of {', '.join(DIRECTIONS)}")


def directions_of(names: Sequence[str]) -> list[Direction]:
    """Which way each is better; of what is not a training's, the more the better."""
    return [DIRECTIONS.get(name, "maximize") for name in names]


def microseconds_per_token(folder: Path, data: PreparedData, batch_size: int) -> float:
    """The time that the model takes for a token of the validation split, in one thread: the best of three."""
    import torch  # the end of a sweep asks for the directions only

    from unroll.training.model_folder import ModelFolder

    torch.set_num_threads(1)
    model, split = ModelFolder.load(folder).model, data.split("validation")
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        model.answer(split, batch_size)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(split.tokens)


def values_of(record: dict[str, Any], names: Sequence[str]) -> float | list[float]:
    """A number for one name, a list for several."""
    values = [float(record[name]) for name in names]
    return values[0] if len(values) == 1 else values
