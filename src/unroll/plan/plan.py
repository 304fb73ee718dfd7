"""The models and seeds that a params.yaml lists."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unroll.checks import LARGEST_SEED, SEEDS, check_name, closest, hint, unknown_key
from unroll.files import read_yaml

GROUPS = ("classification", "labeling")
KEYS = (*GROUPS, "pretrain", "seeds", "tokenizer", "trainer")
LISTS = ("datasets", "models")  # of a group


log = logging.getLogger("unroll")


class Plan(NamedTuple):
    """Models and seeds; None for all that are found."""

    models: list[str] | None
    seeds: list[int] | None


def read_plan(path: str | Path | None, task: str) -> Plan:
    """Read the models and seeds for a task from a params.yaml; those of multilabel are under ``classification``.

    Raises:
        ValueError: there is no such file, it has an unknown key, or its models or seeds are missing, duplicated or of a
            wrong type.
    """
    if path is None:
        return Plan(None, None)
    group = _group(task)
    if not isinstance(path, str | Path) or not Path(path).is_file():
        raise ValueError(f"plan={path}: no such file; accepted: a params.yaml, or null")
    try:
        content = read_yaml(Path(path))
    except ValueError as error:
        raise ValueError(f"plan={path} does not list {group}.models and seeds: {error}") from error
    # Stages of the user's own may have parameters in the same file, such as `train` beside our `trainer`.
    given = content if isinstance(content, Mapping) else {}
    for key in given.keys() - set(KEYS):
        if close := closest(str(key), KEYS):
            said = unknown_key(f"plan={path}: {key}", str(key), list(KEYS))
            if close not in given:
                raise ValueError(said)
            log.warning("warning: %s", said)
    for name in GROUPS:
        listed = content.get(name) if isinstance(content, Mapping) else None
        _check_keys(f"plan={path}: {name}.", listed if isinstance(listed, Mapping) else (), LISTS)
    try:
        models, seeds = content[group]["models"], content["seeds"]
    except (KeyError, TypeError) as error:
        cause = "not a mapping of keys" if isinstance(error, TypeError) else repr(error)
        raise ValueError(f"plan={path} does not list {group}.models and seeds: {cause}") from error
    _check_list(f"plan={path}: {group}.models", models, (str, int), "names of files in conf/model")
    for name in models:
        check_name(f"plan={path}: {group}.models", name)
    _check_list(f"plan={path}: seeds", seeds, (int,), f"whole numbers {SEEDS}")
    return Plan([str(name) for name in models], seeds)


def check_models(path: str | Path, task: str, models: Sequence[str]) -> None:
    """Raise ValueError, with the place in params.yaml, if a model that it lists has no file in conf/model."""
    accepted = sorted(file.stem for file in Path("conf/model").glob("*.yaml"))
    for name in models:
        if name not in accepted:
            raise ValueError(
                f"plan={path}: {_group(task)}.models has {name!r}, which is no file in conf/model"
                f"{hint(name, accepted)}; accepted: {', '.join(accepted)}"
            )


def _group(task: str) -> str:
    return "labeling" if task == "labeling" else "classification"


def _check_keys(where: str, keys: Iterable[Any], accepted: Sequence[str]) -> None:
    for key in keys:
        if key not in accepted:
            raise ValueError(unknown_key(f"{where}{key}", str(key), list(accepted)))


def _check_list(where: str, values: Any, kinds: tuple[type, ...], accepted: str) -> None:
    """Raise ValueError unless `values` is a non-empty list of different values of these types."""
    is_list = isinstance(values, list) and len(values) > 0 and all(type(value) in kinds for value in values)
    if (
        not is_list
        or len(set(values)) < len(values)
        or any(type(v) is int and not 0 <= v <= LARGEST_SEED for v in values)
    ):
        raise ValueError(f"{where}={values!r}; accepted: a list of one or more different {accepted}")
