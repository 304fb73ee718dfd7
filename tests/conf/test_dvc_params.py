"""What dvc.yaml declares for a stage is what its command reads."""

import ast
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from dvc.dependency.param import ParamsDependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import PipelineStage
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
TRACKED = ("baselines", "data", "nn", "training")  # the parts of the package that decide what a stage's files hold


@pytest.fixture(scope="module")
def stages() -> list[PipelineStage]:
    """The stages of dvc.yaml, one for each combination of its matrix."""
    return list(Repo(str(PROJECT)).index.stages)


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


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
    """File to the keys of it; none for the whole file."""
    return {dep.def_path: list(dep.params) for dep in stage.deps if isinstance(dep, ParamsDependency)}


def test_the_matrix_is_expanded(stages: list[PipelineStage]) -> None:
    assert "train-classification@demo_reviews-lstm-1" in {stage.addressing for stage in stages}


def test_each_stage_declares_exactly_the_files_that_its_command_composes(stages: list[PipelineStage]) -> None:
    declared = {
        stage.addressing: {file for file in declared_params(stage) if file.startswith("conf/")} for stage in stages
    }
    assert declared == {stage.addressing: composed_files(stage.cmd) for stage in stages}


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
        keys = [f"{task}.models", "seeds"] if "plan=params.yaml" in stage.cmd else None
        assert declared_params(stage).get("params.yaml") == keys


def code_of(stage: PipelineStage) -> set[str]:
    """The files and folders of code that a stage declares."""
    return {dep.def_path for dep in stage.deps if dep.def_path.startswith(("src/", "pipelines/"))}


def test_the_code_that_stages_depend_on_exists(stages: list[PipelineStage]) -> None:
    assert {path for stage in stages for path in code_of(stage) if not (PROJECT / path).exists()} == set()


def test_each_stage_depends_on_the_script_that_it_runs(stages: list[PipelineStage]) -> None:
    assert [stage.addressing for stage in stages if shlex.split(stage.cmd)[1] not in code_of(stage)] == []


def before(stage: PipelineStage, stages: list[PipelineStage]) -> list[PipelineStage]:
    """The stages whose outputs a stage reads, and those whose outputs these read."""
    inputs = {Path(dep.def_path) for dep in stage.deps}
    direct = [other for other in stages if other is not stage and any(_is_in(out, inputs) for out in other.outs)]
    return direct + [earlier for other in direct for earlier in before(other, stages)]


def _is_in(output: Output, inputs: set[Path]) -> bool:
    path = Path(output.def_path)
    return not inputs.isdisjoint([path, *path.parents])


@lru_cache
def imported_modules(file: Path) -> frozenset[Path]:
    """The modules of the package that a file imports, at whatever depth, functions' imports included."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        new = _direct_imports(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)


def _direct_imports(file: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unroll."):
            module = PROJECT / "src" / Path(*node.module.split("."))  # type: ignore[union-attr]
            candidates = [module, *(module / alias.name for alias in node.names)]
            found |= {path.with_suffix(".py") for path in candidates if path.with_suffix(".py").is_file()}
            found |= {path / "__init__.py" for path in candidates if (path / "__init__.py").is_file()}
    return found


def test_a_change_of_code_reaches_each_stage_that_imports_it(stages: list[PipelineStage]) -> None:
    """A stage depends on what it imports, or an earlier stage does, which then gives it new input."""
    missing: dict[str, set[str]] = {}
    for stage in {stage.name.partition("@")[0]: stage for stage in stages}.values():
        declared = set().union(*(code_of(one) for one in [stage, *before(stage, stages)]))
        for module in imported_modules(PROJECT / shlex.split(stage.cmd)[1]):
            path = module.relative_to(PROJECT)
            tracked = path.parts[2] in TRACKED and path.name != "__init__.py"
            if tracked and not any(str(part) in declared for part in (path, *path.parents)):
                missing.setdefault(stage.name, set()).add(str(path))
    assert missing == {}
