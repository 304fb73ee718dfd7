"""Every file of conf/ composes, and the package can build what it configures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from unroll.arguments import check_targets
from unroll.config import plain, source_of
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS
from unroll.data.tokens import Task
from unroll.inference.building import check_model

CONF = Path(__file__).parents[2] / "conf"
PRIMARY = sorted(file.stem for file in CONF.glob("*.yaml"))
GROUP_FILES = sorted(CONF.glob("*/*.yaml"))


def groups(primary: str) -> set[str]:
    """The groups that a primary configuration chooses from."""
    defaults = yaml.safe_load((CONF / f"{primary}.yaml").read_text())["defaults"]
    return {group for entry in defaults if isinstance(entry, dict) for group in entry}


def names(group: str) -> list[str]:
    return [file.stem for file in GROUP_FILES if file.parent.name == group]


CHOICES = [
    (primary, file.parent.name, file.stem)
    for primary in PRIMARY
    for file in GROUP_FILES
    if file.parent.name in groups(primary)
]


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def test_there_is_a_primary_configuration_for_every_stage_script() -> None:
    assert sorted(file.stem for file in (CONF.parent / "pipelines").glob("[!_]*.py")) == PRIMARY


def test_every_group_is_chosen_from_somewhere() -> None:
    assert {file.parent.name for file in GROUP_FILES} == set().union(*(groups(primary) for primary in PRIMARY))


@pytest.mark.parametrize(("primary", "group", "name"), CHOICES)
def test_every_file_composes_in_every_stage_that_has_its_group(primary: str, group: str, name: str) -> None:
    config = compose(primary, [f"{group}={name}"])
    text = (CONF / group / f"{name}.yaml").read_text()
    if text.startswith("# @package _global_\n"):  # a promoted model, or a sweep
        said = {key: value for key, value in yaml.safe_load(text).items() if key not in ("defaults", "hydra")}
        assert OmegaConf.merge(config, said) == config
    elif group != "hydra":
        assert config[group] == yaml.safe_load(text)
    assert "???" not in OmegaConf.to_yaml(config)


@pytest.mark.parametrize("part", ["sampler", "pruner"])
def test_every_part_of_a_study_builds_its_sweeper(part: str) -> None:
    from hydra.utils import instantiate

    files = sorted((CONF / "hydra/sweeper" / part).glob("*.yaml"))
    assert files
    for file in files:
        choice = ["hydra/sweeper=optuna", f"hydra/sweeper/{part}={file.stem}", "hydra.sweeper.study=s"]
        sweeper = instantiate(compose("train", choice, return_hydra_config=True).hydra.sweeper)
        assert sweeper._sweeper.study == "s"
        assert file.read_text().startswith("# ")


def test_group_files_hold_plain_values() -> None:
    assert [str(file) for file in GROUP_FILES if "${" in file.read_text()] == []


@pytest.mark.parametrize("file", [*CONF.glob("*.yaml"), *GROUP_FILES], ids=lambda file: str(file.relative_to(CONF)))
def test_the_first_line_of_every_file_describes_it(file: Path) -> None:
    assert file.read_text().startswith("# ")


@pytest.mark.parametrize("name", names("dataset"))
def test_every_dataset_is_a_source(name: str) -> None:
    source = source_of(compose("download", [f"dataset={name}"]))
    assert tuple(source.columns) in COLUMNS[source.task]


def tasks_of(model: str) -> set[str]:
    """The tasks of a model: all for a network, those in `tasks` for a baseline."""
    target = get_object(yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text())["_target_"])
    return set(getattr(target, "tasks", COLUMNS))


def parts(**choices: str) -> DictConfig:
    return compose("train", [f"{group}={name}" for group, name in choices.items()])


FITTING = [(name, task) for name in names("model") for task in COLUMNS if task in tasks_of(name)]


@pytest.mark.parametrize(("name", "task"), FITTING)
def test_every_model_trains_and_predicts_for_each_of_its_tasks(
    name: str, task: Task, prepared: dict[Task, PreparedData]
) -> None:
    from unroll.data.batches import collate
    from unroll.inference.building import build_model
    from unroll.inference.trained_model import TrainedModel
    from unroll.nn import SequenceModel

    data, config = prepared[task], plain(parts(model=name).model)
    split = data.split("test")
    check_model(config)
    model = build_model(config, data.schema)

    if isinstance(model, SequenceModel):
        tokens, labels, _ = collate(split, np.arange(4), characters=True)
        model.head.loss(model(tokens), labels, tokens.lengths).backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
    else:
        model.fit(data.split("train"), data.split("validation"))

    predictions = TrainedModel(model, data.schema, config).predict(split, batch_size=8)
    for (best, probabilities, *_), length in zip(predictions, split.lengths, strict=True):
        all_labels = len(data.label_names)
        shapes = {
            "classification": ((), (all_labels,)),
            "labeling": ((length,), (length, all_labels)),
            "multilabel": ((all_labels,), (all_labels,)),
        }
        assert (best.shape, probabilities.shape) == shapes[task]
        assert np.isfinite(probabilities).all()


@pytest.mark.parametrize(("name", "task"), [(n, t) for n in names("model") for t in COLUMNS if (n, t) not in FITTING])
def test_a_model_for_another_task_is_refused_with_those_that_fit(
    name: str, task: Task, prepared: dict[Task, PreparedData]
) -> None:
    from unroll.inference.building import build_model

    data, config = prepared[task], plain(parts(model=name).model)
    with pytest.raises(ValueError, match="accepted: model=") as refused:
        build_model(config, data.schema)
    for accepted in re.findall(r"model=(\w+)", str(refused.value)):
        assert (accepted, task) in FITTING


def test_an_unknown_head_is_refused_with_those_there_are() -> None:
    config = plain(compose("train", ["model.head=argmax"]).model)
    with pytest.raises(ValueError, match=r"^model\.head='argmax': .*'softmax', 'crf' or 'constrained_crf'"):
        check_model(config)


@pytest.mark.parametrize("group", ["optimizer", "scheduler", "trainer"])
def test_every_part_of_a_training_fits_what_it_builds(group: str) -> None:
    for name in names(group):
        check_targets(plain(parts(**{group: name})[group]), group)


@pytest.mark.parametrize("optimizer", names("optimizer"))
@pytest.mark.parametrize("scheduler", names("scheduler"))
def test_every_optimizer_and_scheduler_take_a_step(optimizer: str, scheduler: str) -> None:
    import torch
    from hydra.utils import instantiate

    config = parts(optimizer=optimizer, scheduler=scheduler)
    weight = torch.nn.Parameter(torch.ones(2))
    steps = instantiate(config.optimizer)([weight])
    schedule = instantiate(config.scheduler)(steps, 10)
    weight.sum().backward()
    steps.step()
    schedule.step()
    assert (weight != 1).all()


def test_a_model_s_file_may_say_what_it_begins_with_and_how_it_is_fine_tuned(tmp_path: Path) -> None:
    """So that params.yaml lists a model and the same one with pretrained weights."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text(
        "# @package _global_\ndefaults: [bilstm@model, override /finetune: ulmfit]\n"
        "pretrained: imdb\nmodel: {pooling: concat}\nfinetune: {layer_decay: 2.0}\n"
    )
    config = compose("train", ["model=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    usual: Any = OmegaConf.to_container(compose("train", ["model=bilstm", "scheduler=slanted_triangular"]))
    changed = {"model": usual["model"] | {"pooling": "concat"}, "pretrained": "imdb"}
    tuned = {"layer_decay": 2.0, "gradual_unfreezing": True, "freeze_embeddings": False}
    assert compose("evaluate", ["model=mine", f"hydra.searchpath=[file://{tmp_path}]"]).model == config.model
    assert OmegaConf.to_container(config) == usual | changed | {"finetune": tuned}


def test_the_plan_names_files_of_conf() -> None:
    plan: dict[str, Any] = yaml.safe_load((CONF.parent / "params.yaml").read_text())
    assert plan["trainer"] in names("trainer")
    for task in ("classification", "labeling"):
        assert set(plan[task]["models"]) <= set(names("model"))
        assert {source_of(compose("download", [f"dataset={name}"])).task for name in plan[task]["datasets"]} == {task}
