"""The models and seeds that a params.yaml lists."""

from pathlib import Path
from typing import Any, NamedTuple

from unroll.checks import LARGEST_SEED, SEEDS, check_name
from unroll.files import read_yaml


class Plan(NamedTuple):
    """Models and seeds; None for all that are found."""

    models: list[str] | None
    seeds: list[int] | None


def read_plan(path: str | Path | None, task: str) -> Plan:
    """Read the models and seeds for a task from a params.yaml; those of multilabel are under ``classification``.

    Raises:
        ValueError: there is no such file, or its models or seeds are missing, duplicated or of a wrong type.
    """
    if path is None:
        return Plan(None, None)
    group = "labeling" if task == "labeling" else "classification"
    if not isinstance(path, str | Path) or not Path(path).is_file():
        raise ValueError(f"plan={path}: no such file; accepted: a params.yaml, or null")
    try:
        content = read_yaml(Path(path))
        models, seeds = content[group]["models"], content["seeds"]
    except (KeyError, TypeError, ValueError) as error:
        cause = {TypeError: "not a mapping of keys", KeyError: repr(error)}.get(type(error), str(error))
        raise ValueError(f"plan={path} does not list {group}.models and seeds: {cause}") from error
    _check_list(f"plan={path}: {group}.models", models, (str, int), "names of files in conf/model")
    for name in models:
        check_name(f"plan={path}: {group}.models", name)
    _check_list(f"plan={path}: seeds", seeds, (int,), f"whole numbers {SEEDS}")
    return Plan([str(name) for name in models], seeds)


def _check_list(where: str, values: Any, kinds: tuple[type, ...], accepted: str) -> None:
    """Raise ValueError unless `values` is a non-empty list of different values of these types."""
    is_list = isinstance(values, list) and len(values) > 0 and all(type(value) in kinds for value in values)
    if not is_list or len(set(values)) < len(values) or any(type(v) is int and not 0 <= v <= LARGEST_SEED for v in values):
        raise ValueError(f"{where}={values!r}; accepted: a list of one or more different {accepted}")
