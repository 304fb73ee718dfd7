"""A trial becomes a model of the pipeline: a file in conf/model, named in params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from ruamel.yaml import YAML

from unroll.files import write_text
from unroll.sweep.studies import OBJECTIVES, OVERRIDES, best_trials, load_study
from unroll.sweep.summary import describe

OF_A_RUN = {"hydra", "dataset", "seed", "objectives", "data", "output", "run_name", "vectors"}  # not of a model


@dataclass(frozen=True)
class PromoteOptions:
    """Which trial, and what becomes of it.

    Args:
        study, storage: where the trial is.
        trial: its number; None for the study's best.
        name: of the model; None for the trial's model and the study's name.
        plan: the params.yaml that lists it.
    """

    study: str
    storage: str
    trial: int | None
    name: str | None
    plan: str


@dataclass(frozen=True)
class Promoted:
    """A model that was a trial.

    Args:
        file: its configuration.
        origin: where the values are from.
        group: the part of the plan that lists it.
        line: of that part.
    """

    file: Path
    origin: str
    group: str
    line: str


@dataclass(frozen=True)
class Recipe:
    """A trial as the configuration of a model.

    Args:
        model: the file of conf/model that it began from.
        task: the dataset's.
        config: the model's values, and all else that is not as the pipeline has it.
    """

    model: str
    task: str
    config: dict[str, Any]

    @property
    def group(self) -> str:
        """The part of params.yaml that lists models of the task."""
        return "labeling" if self.task == "labeling" else "classification"


def promote(options: PromoteOptions, conf: Path) -> Promoted:
    """Write the model's file, and its name into the plan. To be called where Hydra is initialised.

    Raises:
        ValueError: there is no such trial, or no best one; the pipeline cannot train it; another model has the name.
    """
    study = load_study(options.study, options.storage)
    trial = _trial(study, options.trial)
    recipe = recipe_of(trial.user_attrs[OVERRIDES])
    name = options.name or _name(recipe, study)
    origin = f"{study.study_name}, {describe(trial, study.user_attrs[OBJECTIVES])}"
    file = conf / "model" / f"{name}.yaml"
    if file.exists() and yaml.safe_load(file.read_text(encoding="utf-8")) != recipe.config:
        raise ValueError(f"name={name}: {file} is another model; accepted: a name that is free")
    plan = Path(options.plan)
    content = _read_plan(plan)
    line = _add_model(content, recipe.group, name)
    values = yaml.safe_dump(recipe.config, sort_keys=False)
    write_text(file, f"# @package _global_\n# {origin}\n{values}")
    write_text(plan, _dump(content))
    return Promoted(file, origin, recipe.group, line)


def promotion_hint(study: Study, plan: Path) -> str:
    """How the best of a study gets into the pipeline: the plan's line, and the command that writes it."""
    command = f"python pipelines/promote.py study={study.study_name}"
    best, *others = best_trials(study)
    if others:
        return f"to promote one of them into {plan}: {command} trial=NUMBER"
    try:
        recipe = recipe_of(best.user_attrs[OVERRIDES])
        line = _add_model(_read_plan(plan), recipe.group, _name(recipe, study))
    except ValueError as error:
        return f"not to be promoted: {error}"
    return f"{plan}, {recipe.group}: {line}\nwritten there by: {command}"


def recipe_of(overrides: Sequence[str]) -> Recipe:
    """What a training with these overrides differs in from the pipeline's, with all of its model's values.

    Raises:
        ValueError: it has another optimizer, scheduler or vectors than the pipeline gives to every model.
    """
    trained = compose("train", list(overrides), return_hydra_config=True)
    chosen, usual = trained.hydra.runtime.choices, compose("train", return_hydra_config=True).hydra.runtime.choices
    for group in ("optimizer", "scheduler"):
        if chosen[group] != usual[group]:
            raise ValueError(
                f"the trial has {group}={chosen[group]}, and the pipeline trains every model with {usual[group]}; "
                f"accepted: a trial with that, or {group}: {chosen[group]} in conf/train.yaml and dvc.yaml"
            )
    kept = [group for group in usual if group not in ("model", "sweep") and not group.startswith("hydra")]
    plain = compose("train", ["~model", *(f"{group}={chosen[group]}" for group in kept)])
    if trained.vectors != plain.vectors:
        raise ValueError(f"the trial has vectors={trained.vectors}; accepted: none, or the same in conf/train.yaml")
    changes = _differences(_values(trained), _values(plain))
    model = OmegaConf.to_container(trained.model, resolve=True)
    config = {"model": model} | {key: value for key, value in changes.items() if key != "model"}
    return Recipe(chosen.model, trained.dataset.task, config)


def _name(recipe: Recipe, study: Study) -> str:
    return f"{recipe.model}_{study.study_name}"


def _trial(study: Study, number: int | None) -> FrozenTrial:
    complete, best = study.get_trials(states=[TrialState.COMPLETE]), best_trials(study)
    if number is None and len(best) == 1:
        return best[0]
    found = [trial for trial in complete if trial.number == number]
    if not found:
        accepted = ", ".join(str(trial.number) for trial in complete) or "none is complete"
        better = f" (the best: {', '.join(str(trial.number) for trial in best)})" if best else ""
        asked = "null" if number is None else number
        raise ValueError(f"trial={asked} of {study.study_name}; accepted: {accepted}{better}")
    return found[0]


def _values(config: DictConfig) -> dict[str, Any]:
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key not in OF_A_RUN])
    return OmegaConf.to_container(own, resolve=True)  # type: ignore[return-value]


def _differences(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `new` whose values `old` does not have, at whatever depth."""
    found: dict[str, Any] = {}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if changes := _differences(value, before):
                found[key] = changes
        elif key not in old or value != before:
            found[key] = value
    return found


def _yaml() -> YAML:
    """Keeps comments, and the style of lists."""
    keeping = YAML()
    keeping.width = 120
    keeping.preserve_quotes = True
    return keeping


def _read_plan(plan: Path) -> Any:
    if not plan.is_file():
        raise ValueError(f"plan={plan}: no such file; accepted: a params.yaml")
    return _yaml().load(plan.read_text(encoding="utf-8"))


def _add_model(plan: Any, group: str, name: str) -> str:
    """Name the model in the plan; return the line."""
    try:
        models = plan[group]["models"]
        if name not in models:
            models.append(name)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the plan does not list {group}.models: {error!r}") from error
    return f"models: [{', '.join(map(str, models))}]"


def _dump(plan: Any) -> str:
    text = StringIO()
    _yaml().dump(plan, text)
    return text.getvalue()
