"""Each stage of dvc.yaml declares the files that its command reads."""

import shlex
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from unroll.source_files import PACKAGE, imported_names, module_files

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[PipelineStage]:
    """The stages of dvc.yaml, one for each combination of its matrix, and one of pretraining.

    They are those of a copy of dvc.yaml, because params.yaml lists nothing that is pretrained.
    """
    copy = tmp_path_factory.mktemp("project")
    (copy / ".dvc").mkdir()
    (copy / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    shutil.copy(PROJECT / "dvc.yaml", copy)
    plan = yaml.safe_load((PROJECT / "params.yaml").read_text())
    assert plan["pretrain"] == {}
    plan["pretrain"] = {"mine": {"corpus": "imdb", "pretraining": "vectors"}}
    (copy / "params.yaml").write_text(yaml.safe_dump(plan))
    return list(Repo(str(copy)).index.stages)


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def commands(stage: PipelineStage) -> list[str]:
    """The commands of a stage."""
    return [stage.cmd] if isinstance(stage.cmd, str) else list(stage.cmd)


def scripts(stage: PipelineStage) -> list[str]:
    return [shlex.split(command)[1] for command in commands(stage)]


@lru_cache
def composed_files(command: str) -> frozenset[str]:
    """The files of conf/ from which Hydra composes the configuration of `python pipelines/NAME.py OVERRIDES`."""
    python, script, *overrides = shlex.split(command)
    assert python == "python"
    loader = GlobalHydra.instance().config_loader()
    defaults = loader.compute_defaults_list(Path(script).stem, overrides, RunMode.RUN).defaults
    files = {f"conf/{entry.config_path}.yaml" for entry in defaults}
    return frozenset(file for file in files if (PROJECT / file).exists())  # the others are Hydra's own


def declared_params(stage: PipelineStage) -> dict[str, list[str]]:
    """File to its keys; an empty list for the whole file."""
    return {dep.def_path: list(dep.params) for dep in stage.deps if isinstance(dep, ParamsDependency)}


def test_the_matrix_is_expanded(stages: list[PipelineStage]) -> None:
    assert {"train-classification@demo_reviews", "pretrain@mine"} <= {stage.name for stage in stages}


def test_each_stage_declares_exactly_the_files_that_its_commands_compose(stages: list[PipelineStage]) -> None:
    declared = {
        stage.addressing: {file for file in declared_params(stage) if file.startswith("conf/")} for stage in stages
    }
    composed = {
        stage.addressing: set().union(*(composed_files(command) for command in commands(stage))) for stage in stages
    }
    assert declared == composed


def test_a_stage_that_trains_every_model_depends_on_all_that_their_files_may_name(stages: list[PipelineStage]) -> None:
    """A file of conf/model may choose other files for its model, and the weights that it begins with."""
    named = {*(f"conf/{group}" for group in ("model", "optimizer", "scheduler", "finetune")), "pretrained"}
    for stage in stages:
        if "pipelines/train.py" in scripts(stage):
            assert named <= {dep.def_path for dep in stage.deps}
            assert all((PROJECT / path).is_dir() for path in named)  # also where nothing is pretrained


def test_files_of_conf_are_declared_as_a_whole(stages: list[PipelineStage]) -> None:
    partial = {
        (stage.addressing, file)
        for stage in stages
        for file, keys in declared_params(stage).items()
        if file.startswith("conf/") and keys
    }
    assert not partial


def test_stages_that_read_the_plan_declare_what_they_read_of_it(stages: list[PipelineStage]) -> None:
    for stage in stages:
        task = stage.name.partition("@")[0].rpartition("-")[2]
        reads_plan = any("plan=params.yaml" in command for command in commands(stage))
        keys = [f"{task}.models", "seeds"] if reads_plan else None
        assert declared_params(stage).get("params.yaml") == keys


def code_of(stage: PipelineStage) -> set[str]:
    """The files and folders of code that a stage declares."""
    return {dep.def_path for dep in stage.deps if dep.def_path.startswith(("src/", "pipelines/"))}


def test_the_code_that_stages_depend_on_exists(stages: list[PipelineStage]) -> None:
    assert {path for stage in stages for path in code_of(stage) if not (PROJECT / path).exists()} == set()


def test_each_stage_depends_on_the_scripts_that_it_runs(stages: list[PipelineStage]) -> None:
    assert [stage.addressing for stage in stages if not set(scripts(stage)) <= code_of(stage)] == []


# How a command is configured, how its errors are printed, and which of its runs are skipped: no part of what
# downloading and preparing write. The other stages depend on the whole package.
HOW = (
    "__init__.py",
    "arguments.py",
    "config.py",
    "exceptions.py",
    "locks.py",
    "project.py",
    "run_folder.py",
    "stage.py",
    "sweep",
)


def test_each_stage_depends_on_every_module_that_it_imports(stages: list[PipelineStage]) -> None:
    missing: dict[str, set[str]] = {}
    for stage in {stage.name.partition("@")[0]: stage for stage in stages}.values():
        for module in set().union(*(imported_modules(PROJECT / script) for script in scripts(stage))):
            path = module.relative_to(PROJECT)
            is_declared = any(str(part) in code_of(stage) for part in (path, *path.parents))
            if not is_declared and path.parts[2] not in HOW:
                missing.setdefault(stage.name, set()).add(str(path))
    assert missing == {}


def test_code_is_declared_by_folders_few_for_each_stage(stages: list[PipelineStage]) -> None:
    for stage in stages:
        folders = [path for path in code_of(stage) if path.startswith("src/") and (PROJECT / path).is_dir()]
        assert 1 <= len(folders) <= 2


def imported_modules(script: Path) -> set[Path]:
    """The files of the package that a script imports, directly or indirectly, also within functions.

    Modules that only configure a command are not followed, since they import more than it uses.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        for file in {file for name in imported_names(waiting.pop()) for file in module_files(name)} - found:
            found.add(file)
            if file.relative_to(PACKAGE).parts[0] not in HOW:
                waiting.append(file)
    return found
