"""The models and seeds that a params.yaml lists."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Plan(NamedTuple):
    """Models and seeds; None for all that are found."""

    models: list[str] | None
    seeds: list[int] | None


def read_plan(path: Path | None, task: str) -> Plan:
    """Read the models and seeds for a task from a params.yaml; those of multilabel are under `classification`.

    Raises:
        ValueError: there is no such file, or it does not list them.
    """
    if path is None:
        return Plan(None, None)
    group = "labeling" if task == "labeling" else "classification"
    if not path.is_file():
        raise ValueError(f"plan={path}: no such file; accepted: a params.yaml, or null")
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        models, seeds = content[group]["models"], content["seeds"]
        if not isinstance(models, list) or not isinstance(seeds, list):
            raise TypeError(f"{models!r} and {seeds!r} are not both lists")
        return Plan([str(name) for name in models], [int(seed) for seed in seeds])
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"plan={path} does not list {group}.models and seeds: {error!r}") from error
