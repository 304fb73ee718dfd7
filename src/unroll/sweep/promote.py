"""Promotion of a trial to a model of the pipeline: a file in conf/model, listed in params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial
from ruamel.yaml import YAML

from unroll.checks import check_name
from unroll.files import read_yaml, write_text
from unroll.sweep.studies import OBJECTIVES, OVERRIDES, best_trials, complete_trials, load_study, reading_study
from unroll.sweep.summary import trial_line

# Keys that are not part of a model's file, except that it has the whole of `model`.
RUN_KEYS = {"hydra", "dataset", "seed", "objectives", "data", "output", "run_name", "vectors", "model"}


@dataclass(frozen=True)
class PromoteOptions:
    """Options of a promotion."""

    study: str
    storage: str
    trial: int | None  # the trial's number; None for the best one
    name: str | None  # of the new model; None for ``MODEL_STUDY``, after the trial's model and the study
    plan: str  # the params.yaml to list the model in


class Promoted(NamedTuple):
    """The result of a promotion."""

    file: Path  # the new model's configuration
    trial: str  # a line that describes the trial and its study
    group: str  # the part of the plan that lists the model
    line: str  # the plan's new line
    missing: str | None  # the trial's dataset if the plan does not list it: no stage trains the model on it


class Recipe(NamedTuple):
    """A trial's configuration in the form of a model file."""

    model: str  # the choice of conf/model that the trial started from
    dataset: str
    group: str  # the part of params.yaml that lists models of the dataset's task
    config: dict[str, Any]  # all values of the model, and the other values that differ from the pipeline's


def promote(options: PromoteOptions, conf: Path) -> Promoted:
    """Write the model's configuration into the folder `conf`, and add its name to the plan. Hydra must be initialised.

    Raises:
        ValueError: the trial does not exist or is not complete, or there is no single best one; the pipeline cannot
            train it; or the name is in use.
    """
    check_name("study", options.study)
    with reading_study(options.storage, "storage"):
        study = load_study(options.study, options.storage, "storage")
        trial = _trial(study, options.trial)
        overrides = trial.user_attrs[OVERRIDES]
        description = f"{study.study_name}, {trial_line(trial, study.user_attrs[OBJECTIVES])}"
    recipe = recipe_of(overrides)
    name = options.name or f"{recipe.model}_{study.study_name}"
    check_name("name", name)
    file = conf / "model" / f"{name}.yaml"
    if file.exists() and read_yaml(file) != recipe.config:
        raise ValueError(f"name={name}: {file} exists and is another model; accepted: an unused name")
    plan = Path(options.plan)
    content, line = edit_plan(plan, recipe.group, name)
    values = yaml.safe_dump(recipe.config, sort_keys=False)
    write_text(file, f"# @package _global_\n# {description}\n{values}")
    write_text(plan, content)
    listed = read_yaml(plan)[recipe.group].get("datasets") or []
    return Promoted(file, description, recipe.group, line, None if recipe.dataset in listed else recipe.dataset)


def promotion_hint(study: Study, plan: Path) -> str:
    """How to promote the best trial of a study: the new line of the plan, and the command that writes it."""
    command = f"python pipelines/promote.py study={study.study_name}"
    best, *others = best_trials(study)
    if others:
        return f"to add one of them to {plan}: {command} trial=NUMBER"
    try:
        recipe = recipe_of(best.user_attrs[OVERRIDES])
        _, line = edit_plan(plan, recipe.group, f"{recipe.model}_{study.study_name}")
    except ValueError as error:
        return f"it cannot be promoted: {error}"
    return f"{plan}, {recipe.group}: {line}\nto write this line: {command}"


def recipe_of(overrides: Sequence[str]) -> Recipe:
    """Convert the configuration of `pipelines/train.py` with these overrides to that of a model.

    Raises:
        ValueError: the optimizer, scheduler or vectors differ from those that the pipeline uses for every model.
    """
    trained = compose("train", list(overrides), return_hydra_config=True)
    chosen, usual = trained.hydra.runtime.choices, compose("train", return_hydra_config=True).hydra.runtime.choices
    for group in ("optimizer", "scheduler"):
        if chosen[group] != usual[group]:
            raise ValueError(
                f"the trial has {group}={chosen[group]}, but the pipeline trains every model with {usual[group]}; "
                f"accepted: a trial with {usual[group]}, or {group}: {chosen[group]} in conf/train.yaml and dvc.yaml"
            )
    kept = [group for group in usual if group not in ("model", "sweep", "finetune") and not group.startswith("hydra")]
    plain = compose("train", ["~model", *(f"{group}={chosen[group]}" for group in kept)])
    if trained.vectors != plain.vectors:
        raise ValueError(
            f"the trial has vectors={trained.vectors}; accepted: the vectors in conf/train.yaml ({plain.vectors})"
        )
    model = {"model": OmegaConf.to_container(trained.model, resolve=True)}
    config = model | _differences(_values(trained), _values(plain))
    return Recipe(
        chosen.model, chosen.dataset, "labeling" if trained.dataset.task == "labeling" else "classification", config
    )


def _trial(study: Study, number: int | None) -> FrozenTrial:
    complete, best = complete_trials(study), best_trials(study)
    if number is None and len(best) == 1:
        return best[0]
    for trial in complete:
        if trial.number == number:
            return trial
    accepted = ", ".join(str(trial.number) for trial in complete) or "none is complete"
    better = f" (the best: {', '.join(str(trial.number) for trial in best)})" if best else ""
    asked = "null" if number is None else number
    raise ValueError(f"trial={asked} of {study.study_name}; accepted: {accepted}{better}")


def _values(config: DictConfig) -> Any:
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key not in RUN_KEYS])
    return OmegaConf.to_container(own, resolve=True)


def _differences(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `new`, at any depth, that are missing from `old` or have another value there."""
    found: dict[str, Any] = {}
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping):
            if changes := _differences(value, old[key]):
                found[key] = changes
        elif key not in old or value != old[key]:
            found[key] = value
    return found


def edit_plan(plan: Path, group: str, name: str) -> tuple[str, str]:
    """The new content of a params.yaml, with the model `name` added to its `group` and all else kept, and that line.

    Raises:
        ValueError: there is no such file, or it does not list the group's models.
    """
    if not plan.is_file():
        raise ValueError(f"plan={plan}: no such file; accepted: a params.yaml")
    editor, text = YAML(), StringIO()
    editor.width = 120
    editor.preserve_quotes = True
    read_yaml(plan)  # names the line of a mistake
    content: Any = editor.load(plan.read_text(encoding="utf-8"))
    try:
        models = content[group]["models"]
        if name not in models:
            models.append(name)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"plan={plan} does not list {group}.models: {error!r}") from error
    editor.dump(content, text)
    return text.getvalue(), f"models: [{', '.join(map(str, models))}]"
