"""What DVC reports about a small pipeline."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.repository import commit_everything
from unroll.tracking import dvc
from unroll.tracking.dvc import read_pipeline

STAGES = """
    stages:
      prepare:
        cmd: mkdir -p data && cp words.txt data/words.txt
        deps: [words.txt]
        outs: [data]
      train:
        cmd: mkdir -p models/gru/1 && cp data/words.txt models/gru/1/model
        deps: [data]
        params:
          - conf/model.yaml:
        outs: [models/gru/1/model]
      train-all:
        cmd: mkdir -p runs/all/gru/1 && cp data/words.txt runs/all/gru/1/model
        deps: [data]
        outs:
          - runs/all:
              persist: true
"""
MODEL, BY_HAND = Path("models/gru/1/model"), Path("models/gru/2/model")
INSIDE = Path("runs/all/gru/1/model")  # in a folder that is an output


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project whose pipeline has run."""
    root = tmp_path_factory.mktemp("project")
    files = {"dvc.yaml": textwrap.dedent(STAGES), "words.txt": "a b", "conf/model.yaml": "size: 8"}
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    commit_everything(root)
    for command in ("init", "repro"):
        environment = {**os.environ, "DVC_NO_ANALYTICS": "true"}
        subprocess.run([sys.executable, "-m", "dvc", command, "-q"], cwd=root, env=environment, check=True)
    return root


@pytest.fixture
def project(reproduced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, as the current folder."""
    root = tmp_path / "project"
    shutil.copytree(reproduced, root, symlinks=True)
    monkeypatch.chdir(root)
    return root


def test_the_stage_that_makes_a_file_is_found_and_up_to_date(project: Path) -> None:
    found = read_pipeline([MODEL])
    assert (found.stages, found.stale) == ({MODEL: "train"}, {})
    assert found.lock == (project / "dvc.lock").read_bytes()


def test_a_file_that_no_stage_makes_is_left_out(project: Path) -> None:
    assert read_pipeline([MODEL, BY_HAND]).stages == {MODEL: "train"}
    assert read_pipeline([BY_HAND]).stages == {}


@pytest.mark.parametrize(
    ("name", "stage"),
    [("conf/model.yaml", "train"), (str(MODEL), "train"), ("words.txt", "prepare")],
)
def test_what_a_stage_would_run_again_for_is_named_and_earlier_stages_too(project: Path, name: str, stage: str) -> None:
    (project / name).unlink()  # it may be a link into DVC's cache
    (project / name).write_text("size: 9")
    assert read_pipeline([MODEL]).stale == {stage: [name]}


def test_a_file_in_a_folder_that_a_stage_makes_belongs_to_that_stage(project: Path) -> None:
    found = read_pipeline([INSIDE, MODEL, Path("runs/others/gru/1/model")])
    assert (found.stages, found.stale) == ({INSIDE: "train-all", MODEL: "train"}, {})


def test_a_change_anywhere_in_the_folder_that_a_stage_makes_is_found(project: Path) -> None:
    (project / "runs/all/gru/2").mkdir()
    (project / "runs/all/gru/2/model").write_text("by hand")
    assert list(read_pipeline([INSIDE]).stale) == ["train-all"]
    assert read_pipeline([MODEL]).stale == {}


def test_another_command_is_a_reason(project: Path) -> None:
    (project / "dvc.yaml").write_text((project / "dvc.yaml").read_text().replace("cp data", "cp -p data", 1))
    assert read_pipeline([MODEL]).stale == {"train": ["changed command"]}


def test_without_dvc_no_stage_makes_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_pipeline([MODEL])
    assert (found.stages, found.stale, found.lock) == ({}, {}, None)


ASK = "from pathlib import Path; from unroll.tracking.dvc import read_pipeline; print(read_pipeline([Path({!r})]))"


def test_a_stage_that_runs_may_ask_beside_another(project: Path) -> None:
    """Two `dvc repro` at once, each with a stage that reads the pipeline."""
    script = project / "ask.py"
    script.write_text(ASK.format(str(MODEL)))
    with (project / "dvc.yaml").open("a") as stream:
        for name in ("one", "other"):
            stream.write(f"  {name}:\n    cmd: {sys.executable} {script}\n    always_changed: true\n")
    asking = [
        subprocess.Popen(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "other")
    ]
    for process in asking:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        assert "stale={}" in printed


@pytest.fixture
def holder(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds DVC's lock until it is sent a line."""
    program = "from dvc.repo import Repo, lock_repo\nwith lock_repo(Repo()):\n    print('held', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    if process.poll() is None:
        process.communicate("\n")


def test_a_lock_that_is_released_is_waited_for(holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    printed = []

    def release(line: str, flush: bool) -> None:
        printed.append(line)
        holder.communicate("\n")

    monkeypatch.setattr(dvc, "print", release, raising=False)
    assert read_pipeline([MODEL]).stale == {}
    assert printed == ["waiting for another DVC process"]


def test_a_lock_that_stays_is_an_error(holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc, "LOCK_SECONDS", 0.0)
    with pytest.raises(ValueError, match="another DVC process has held DVC's lock for 0 seconds"):
        read_pipeline([MODEL])


@pytest.mark.parametrize("content", [b"schema: [", b"\xff\xfe", b"[]"])
def test_a_damaged_lock_names_the_way_back(project: Path, content: bytes) -> None:
    (project / "dvc.lock").write_bytes(content)
    with pytest.raises(ValueError, match=r"^DVC cannot read the pipeline \(.*dvc\.lock.*\): .*`dvc repro`"):
        read_pipeline([MODEL])


@pytest.mark.parametrize("content", [b"[core", b"[core]\n    analytics = \xff\n", b"[core]\n    analytics = maybe\n"])
def test_a_damaged_configuration_of_dvc_is_named(project: Path, content: bytes) -> None:
    (project / ".dvc/config").write_bytes(content)
    with pytest.raises(ValueError, match=r"^DVC cannot read \.dvc/config \((?!.*codec).*\): restore it with git$"):
        read_pipeline([MODEL])


@pytest.mark.parametrize("name", [".dvc/config", "dvc.lock"])
def test_a_folder_in_place_of_a_file_of_dvc_is_named(project: Path, name: str) -> None:
    (project / name).unlink(missing_ok=True)
    (project / name).mkdir()
    with pytest.raises(ValueError, match=rf"^DVC cannot read .*{name}"):
        read_pipeline([MODEL])
