"""A small project with one stage, run as a user runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.fork_server import bin_folder
from unroll.conf_files import groups_and_keys
from unroll.project import set_environment
from unroll.stage import _check_override

SCRIPT = """
from unroll.stage import stage

@stage
def main(config):
    if config.fail == "value":
        raise ValueError("size=0; accepted: 1 or more")
    if config.fail == "bug":
        raise KeyError("surprise")
    if config.fail == "again":
        from unroll.config import compose_again
        compose_again("other", ["sede=2"])
    if config.fail == "key":
        config.model.colour
    print("ran", config.model.size, config.seed)

if __name__ == "__main__":
    main()
"""
CONFIG = """
defaults:
  - hydra: stage
  - model: small
  - _self_
fail: null
seed: 1
hydra:
  sweep:
    dir: sweep
"""
WORK, SMALL = "conf/work.yaml", "conf/model/small.yaml"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the project."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, project: Path, elsewhere: Path) -> Run:
    """A function that runs the stage `work` with overrides, from a folder outside the project."""
    root = tmp_path_factory.mktemp("project")
    for name in ("conf/model", "conf/hydra", "pipelines"):
        (root / name).mkdir(parents=True)
    (root / "pipelines/work.py").write_text(SCRIPT)
    (root / "conf/work.yaml").write_text(CONFIG)
    (root / "conf/hydra/stage.yaml").write_text((project / "conf/hydra/stage.yaml").read_text())
    for name, size in {"small": 1, "large": 9}.items():
        (root / "conf/model" / f"{name}.yaml").write_text(f"size: {size}\n")

    def run_stage(*overrides: str) -> subprocess.CompletedProcess[str]:
        command = [bin_folder() / "python", root / "pipelines/work.py", *overrides]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)

    return run_stage


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def test_a_stage_runs_with_its_configuration(run: Run) -> None:
    done = run("model=large", "seed=3")
    assert (done.returncode, lines(done)) == (0, ["ran 9 3"])


def test_a_value_error_is_one_line(run: Run) -> None:
    done = run("fail=value")
    assert (done.returncode, lines(done)) == (1, ["error: size=0; accepted: 1 or more"])


def test_a_task_that_writes_nothing_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    for override in ("seed=2", "fail=value"):
        run(override, f"hydra.run.dir={tmp_path}/models/small/1")
    assert not (tmp_path / "models").exists()


def test_an_empty_folder_that_was_there_before_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "models/small").mkdir(parents=True)
    run("fail=value", f"hydra.run.dir={tmp_path}/models/small/1/deep")
    assert [it.name for it in tmp_path.rglob("*")] == ["models", "small"]


@pytest.mark.parametrize("choice", ["../model/large", "../../conf/model/large", "./large"])
def test_a_path_is_no_choice(run: Run, choice: str) -> None:
    done = run(f"model={choice}")
    assert done.returncode == 1
    assert lines(done) == [
        f"error: model={choice!r}; accepted: a name of letters, digits and . _ + -, not with . + - first"
    ]


def test_an_unknown_choice_lists_the_choices(run: Run) -> None:
    done = run("model=tiny")
    assert (done.returncode, lines(done)) == (1, ["error: model=tiny: no such choice; accepted: large, small"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model=null", "model=null: no such choice; accepted: large, small"),
        ("model=", "model=: no such choice; accepted: large, small"),
        ("model=[small]", "model=[small]: no such choice; accepted: large, small"),
        ("~model", "~model: every command needs this key; accepted: model=VALUE, ~model.PART"),
        ("~seed", "~seed: every command needs this key; accepted: seed=VALUE, ~seed.PART"),
        ("+model@other=small", "+model@other=small: a group has one place; accepted: model=NAME"),
        ("seed=1,2", "seed=1,2: several values; accepted: one, several with -m, or a list: seed=[…]"),
        ("seed=../../x", "seed=../../x; accepted: a whole number from 0 to 4294967295"),
        ("seed=-1", "seed=-1; accepted: a whole number from 0 to 4294967295"),
        ("seed=1.0", "seed=1.0; accepted: a whole number from 0 to 4294967295"),
        ("seed=4294967296", "seed=4294967296; accepted: a whole number from 0 to 4294967295"),
        ("=3", "=3: no key; accepted: KEY=VALUE"),
    ],
)
def test_an_override_that_hydra_cannot_use_is_named_with_what_is_accepted(
    override: str, said: str, tmp_path: Path
) -> None:
    for group in ("large", "small"):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / f"{group}.yaml").touch()
    (parsed,) = OverridesParser.create().parse_overrides([override])
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        _check_override(parsed, tmp_path, [parsed.key_or_group], is_multirun=False)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model=../x,small", "model='../x'; accepted: a name of letters, digits and . _ + -, not with . + - first"),
        ("model=small,tiny", "model=tiny: no such choice; accepted: large, small"),
        ("seed=1,../x", "seed=../x; accepted: a whole number from 0 to 4294967295"),
    ],
)
def test_every_value_of_a_sweep_is_checked_before_it_starts(override: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for group in ("large", "small"):
        (tmp_path / "model" / f"{group}.yaml").touch()
    (parsed,) = OverridesParser.create().parse_overrides([override])
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        _check_override(parsed, tmp_path, [parsed.key_or_group], is_multirun=True)


@pytest.mark.parametrize("override", ["model=lstm", "+model=lstm", "~model", "tokenizer=bpe"])
def test_a_group_that_a_stage_does_not_have_is_an_unknown_key(override: str, project: Path) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override])
    said = r"unknown key; accepted: dataset, against, run, batch_size, device, data, output, watch, retrain, level$"
    with pytest.raises(ValueError, match=f"^{parsed.key_or_group}: {said}"):
        _check_override(parsed, project / "conf", groups_and_keys(project, "drift"), is_multirun=False)


def test_importing_the_package_changes_no_hydra_of_others() -> None:
    code = "import unroll, unroll.tracking.store, sys; sys.exit('unroll.stage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_key_lists_the_keys(run: Run) -> None:
    done = run("sede=3")
    assert done.returncode == 1
    (line,) = lines(done)
    said, _, accepted = line.partition("; accepted: ")
    assert said == "error: sede: unknown key (did you mean 'seed'?)"
    accepted, _, file = accepted.partition("; see ")
    assert (sorted(accepted.split(", ")), file) == (["fail", "model", "seed"], "conf/work.yaml")


def test_an_unknown_key_of_a_group_lists_the_group_s_keys(run: Run) -> None:
    done = run("model.sise=3")
    assert (done.returncode, lines(done)) == (
        1,
        ["error: model.sise: unknown key (did you mean 'size'?); accepted: size"],
    )


def test_a_key_that_the_task_asks_for_in_vain_is_named(run: Run) -> None:
    done = run("fail=key")
    assert (done.returncode, lines(done)) == (1, ["error: model.colour: missing key; see conf/model/small.yaml"])


@pytest.mark.parametrize("override", ["seed=[1", "seed"])
def test_an_override_that_cannot_be_read_is_named(run: Run, override: str) -> None:
    done = run(override)
    assert done.returncode == 1
    (line,) = lines(done)
    assert line.startswith(f"error: {override!r} cannot be read") and line.endswith("; accepted: key=value")


@pytest.mark.parametrize("options", [["--epochs", "3"], ["--epochs=3"], ["-x"]])
def test_an_option_of_another_program_is_refused_in_one_line(run: Run, options: list[str]) -> None:
    done = run("seed=3", *options)
    said = f"error: {options[0]}: no such option; accepted: key=value, such as model=VALUE"
    assert (done.returncode, lines(done)) == (1, [said])


def test_an_override_apart_from_the_others_is_refused_in_one_line(run: Run) -> None:
    done = run("seed=3", "-m", "model=large")
    said = "error: model=large: after an option between overrides; accepted: options before all key=value"
    assert (done.returncode, lines(done)) == (1, [said])


def test_an_option_of_hydra_is_accepted(run: Run) -> None:
    done = run("--cfg", "job", "seed=3")
    assert done.returncode == 0 and "seed: 3" in lines(done)


def test_every_script_refuses_options_and_training_names_the_key_of_its_epochs(project: Path) -> None:
    for script in sorted((project / "pipelines").glob("[!_]*.py")):
        done = subprocess.run([bin_folder() / "python", script, "--epochs", "3"], capture_output=True, text=True)
        (line,) = lines(done)
        assert line.startswith("error: --epochs: no such option; accepted: key=value, such as "), script
        assert script.stem != "train" or line.endswith("such as trainer.max_epochs=3")


def test_a_missing_value_is_named(run: Run) -> None:
    done = run("seed=???")
    assert done.returncode == 1
    assert "Missing mandatory value: seed" in lines(done)[0]
    assert "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback(run: Run) -> None:
    done = run("fail=bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "KeyError: 'surprise'" in done.stderr
    assert 'raise KeyError("surprise")' in done.stderr


def test_a_failing_job_of_a_multirun_does_not_stop_the_others(run: Run) -> None:
    done = run("-m", "fail=null,value,bug", "seed=1,2")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("ran")] == ["ran 1 1", "ran 1 2"]
    printed = done.stdout + done.stderr
    assert printed.count("error: size=0; accepted: 1 or more") == 2
    assert printed.count("KeyError: 'surprise'") == 2


def test_a_multirun_without_failures_ends_well(run: Run) -> None:
    done = run("-m", "model=small,large")
    assert (done.returncode, lines(done)) == (0, ["ran 1 1", "ran 9 1"])


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Represents os.environ without any variables set."""
    values: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", values)
    return values


def test_telemetry_is_off_and_waiting_is_short_by_default(environment: dict[str, str], tmp_path: Path) -> None:
    set_environment(tmp_path)
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert int(environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_what_the_user_has_set_stays(environment: dict[str, str], tmp_path: Path) -> None:
    own = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "OMP_NUM_THREADS": "8", "HF_HUB_DISABLE_TELEMETRY": ""}
    environment.update(own)
    set_environment(tmp_path)
    assert {name: environment[name] for name in own} == own


def test_a_queued_experiment_uses_the_project_s_own_database(environment: dict[str, str], tmp_path: Path) -> None:
    set_environment(tmp_path / ".dvc/tmp/exps/tmpabc")
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_stage_sets_the_environment_of_its_project(run: Run) -> None:
    done = run("model.size=${oc.env:MLFLOW_TRACKING_URI}")
    database = lines(done)[0].split()[1]
    assert database.startswith("sqlite:///") and database.endswith("/mlflow.db")
    assert (Path(database.removeprefix("sqlite:///")).parent / "pipelines/work.py").is_file()


OTHER_CODE = """
from _stage import stage
from unroll.only_here import where

@stage
def main(config):
    from unroll.side_by_side import side_by_side

    print("command", where(None))
    for event in side_by_side(where, [None], 1, ["unroll.only_here"]):
        print("worker", event.result)

if __name__ == "__main__":
    main()
"""


def checkout(root: Path, project: Path, script: str) -> Path:
    """A checkout with its own code, as `dvc exp run --temp` makes one, and the script `work`, which it returns."""
    shutil.copytree(project / "src/unroll", root / "src/unroll", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "src/unroll/only_here.py").write_text("def where(item):\n    return __file__\n")
    (root / "pipelines").mkdir()
    shutil.copy(project / "pipelines/_stage.py", root / "pipelines")
    (root / "pipelines/work.py").write_text(script)
    (root / "conf/hydra").mkdir(parents=True)
    shutil.copy(project / "conf/hydra/stage.yaml", root / "conf/hydra")
    (root / "conf/work.yaml").write_text("defaults:\n  - hydra: stage\n  - _self_\n")
    return root / "pipelines/work.py"


def run_beside(script: Path, project: Path) -> subprocess.CompletedProcess[str]:
    """Run the script where the package of `project` is installed."""
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)


def test_a_script_and_its_worker_processes_run_the_code_beside_it(tmp_path: Path, project: Path) -> None:
    done = run_beside(checkout(tmp_path, project, OTHER_CODE), project)
    code = tmp_path / "src/unroll/only_here.py"
    assert lines(done) == [f"command {code}", f"worker {code}"]


def test_a_script_that_would_run_other_code_is_refused(tmp_path: Path, project: Path) -> None:
    done = run_beside(checkout(tmp_path, project, SCRIPT), project)
    (line,) = lines(done)
    assert line.startswith(f"error: {tmp_path}/pipelines would run with the code of {project}; accepted: ")
    assert done.returncode == 1


def test_ctrl_c_during_the_imports_is_one_line(tmp_path: Path, project: Path) -> None:
    (tmp_path / "hydra.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, project / "pipelines" / "train.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "interrupted\n")


def test_every_script_begins_with_the_code_beside_it(project: Path) -> None:
    scripts = sorted((project / "pipelines").glob("[!_]*.py"))
    assert len(scripts) > 1
    for script in scripts:
        imports = [line for line in script.read_text().splitlines() if line.startswith(("from _stage", "from unroll"))]
        assert imports[0] == "from _stage import stage", script


def test_paths_are_those_of_the_project_from_any_folder(run: Run) -> None:
    done = run("model.size=${hydra:runtime.cwd}")
    assert (Path(lines(done)[0].split()[1]) / "pipelines/work.py").is_file()


def test_a_path_that_is_meant_to_be_relative_to_another_folder_is_refused(run: Run, elsewhere: Path) -> None:
    (elsewhere / "new.csv").touch()
    done = run("fail=new.csv")
    (line,) = lines(done)
    assert line.startswith("error: fail=new.csv: paths are relative to ")
    assert line.endswith(f"; accepted: {elsewhere}/new.csv")
    assert lines(run(f"fail={elsewhere}/new.csv")) == ["ran 1 1"]


def test_no_job_works_in_a_folder_of_its_own(run: Run) -> None:
    done = run("hydra.job.chdir=true")
    assert (done.returncode, lines(done)) == (
        1,
        ["error: hydra.job.chdir=true; accepted: false, because paths are relative to the project"],
    )


def test_a_choice_whose_file_is_empty_is_named(run: Run, tmp_path: Path) -> None:
    done = run("model.size=${hydra:runtime.cwd}")
    (Path(lines(done)[0].split()[1]) / "conf/model/empty.yaml").write_text("# nothing yet\n")
    done = run("model=empty")
    assert (done.returncode, lines(done)) == (
        1,
        ["error: model=empty: conf/model/empty.yaml has no keys; to restore it: git checkout conf/model/empty.yaml"],
    )


def _edited(run: Run, path: str, text: str, *overrides: str) -> list[str]:
    """The lines that the stage prints while a file of its project has another text; it must fail."""
    root = Path(lines(run("model.size=${hydra:runtime.cwd}"))[0].split()[1])
    before = (root / path).read_text()
    (root / path).write_text(text)
    try:
        done = run(*overrides)
    finally:
        (root / path).write_text(before)
    assert done.returncode == 1
    return lines(done)


@pytest.mark.parametrize("path", ["conf/work.yaml", "conf/hydra/stage.yaml"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no keys"),
        ("# nothing\n", "has no keys"),
        ("- a\n", "has no keys"),
        ("seed", "has no keys"),
        ("seed: 1\n", "has no list of defaults"),
        ("defaults:\n", "has no list of defaults"),
        ("defaults: [1]\n", "has no list of defaults"),
    ],
)
def test_a_configuration_that_hydra_cannot_use_is_named(run: Run, path: str, text: str, what: str) -> None:
    assert _edited(run, path, text, "model=small") == [f"error: {path} {what}; to restore it: git checkout {path}"]


@pytest.mark.parametrize("callbacks", ["callbacks: 1", "callbacks: {output: null}", "callbacks: {output: {a: 1}}"])
def test_a_callback_without_a_class_is_an_error_with_the_file(run: Run, callbacks: str) -> None:
    (line,) = _edited(run, "conf/hydra/stage.yaml", f"defaults: []\n{callbacks}\n")
    assert line.startswith("error: conf/hydra/stage.yaml callbacks is not a class (_target_) for each name; ")
    (line,) = _edited(run, "conf/work.yaml", f"defaults: []\nhydra: {{{callbacks}}}\n")
    assert line.startswith("error: conf/work.yaml hydra.callbacks is not a class (_target_) for each name; ")


@pytest.mark.parametrize(
    ("path", "before", "after", "overrides", "said"),
    [
        (WORK, "fail: null\n", "", [], "fail: missing key; see conf/work.yaml"),
        (WORK, "fail: null", "fial: null", [], "fail: missing key (similar: fial); see conf/work.yaml"),
        (WORK, "  - model: small\n", "", [], "model: missing key; see conf/work.yaml"),
        (WORK, "  - model: small\n", "", ["model=small"], "see conf/work.yaml"),
        (WORK, "seed: 1", "seed: ${sede}", [], "seed: Interpolation key 'sede' not found; see conf/work.yaml"),
        (WORK, "model: small", "model: smal", [], "model=smal: no such choice (in conf/work.yaml); accepted: "),
        (
            WORK,
            "dir: sweep",
            "dir: s\n  run: {dir: '${sede}'}",
            [],
            "hydra.run.dir: Interpolation key 'sede' not found",
        ),
        (WORK, "- _self_", "- work", [], "conf/work.yaml lists itself in its defaults; to restore it: git checkout"),
        (SMALL, "size: 1", "sise: 1", [], "model.size: missing key (similar: sise); see conf/model/small.yaml"),
        (SMALL, "size: 1", "- size", [], "conf/model/small.yaml has no keys"),
    ],
)
def test_an_error_of_a_key_names_the_file_that_should_set_it(
    run: Run, path: str, before: str, after: str, overrides: list[str], said: str
) -> None:
    text = {WORK: CONFIG, SMALL: "size: 1\n"}[path]
    assert before in text
    (line,) = _edited(run, path, text.replace(before, after), *overrides)
    assert line.startswith("error: ")
    assert said in line


def test_an_error_of_a_key_that_was_typed_names_no_file(run: Run) -> None:
    assert lines(run("seed=${sede}")) == ["error: seed: Interpolation key 'sede' not found"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "conf/other.yaml has no keys; to restore it: git checkout conf/other.yaml"),
        (CONFIG, "sede: unknown key (did you mean 'seed'?); accepted: model, fail, seed; see conf/other.yaml"),
        (
            CONFIG.replace("model: small", "modle: small"),
            "In 'other': Could not find 'modle/small'; see conf/other.yaml",
        ),
        (f"{CONFIG}x: ${{y}}\nsede: 1\n", "x: Interpolation key 'y' not found; see conf/other.yaml"),
    ],
)
def test_a_composition_for_another_command_names_that_one_s_file(run: Run, text: str, said: str) -> None:
    file = Path(lines(run("model.size=${hydra:runtime.cwd}"))[0].split()[1]) / "conf/other.yaml"
    file.write_text(text)
    done = run("fail=again")
    file.unlink()
    assert (done.returncode, lines(done)) == (1, [f"error: {said}"])
