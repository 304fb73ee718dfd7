from pathlib import Path

import pytest

from tests.tracking.repository import commit_everything, git
from unroll.tracking.git import changed_files, head


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one commit, which is the current one."""
    for name in ("conf/train.yaml", "dvc.lock", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    (tmp_path / ".gitignore").write_text("*.log\n")
    commit_everything(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commit_is_the_one_checked_out(repository: Path) -> None:
    assert head() == git(repository, "rev-parse", "HEAD")


def test_nothing_is_changed_after_a_commit(repository: Path) -> None:
    (repository / "notes.txt").touch()
    assert changed_files() == []


@pytest.mark.parametrize("name", ["conf/train.yaml", "notes.txt"])
@pytest.mark.parametrize("staged", [True, False])
def test_a_tracked_file_that_was_edited_is_named(repository: Path, name: str, staged: bool) -> None:
    (repository / name).write_text("two")
    if staged:
        git(repository, "add", name)
    assert changed_files() == [name]


def test_a_tracked_file_that_was_removed_is_named(repository: Path) -> None:
    (repository / "notes.txt").unlink()
    assert changed_files() == ["notes.txt"]


def test_new_files_count_where_code_is_only(repository: Path) -> None:
    for name in ("conf/dataset/größe.yaml", "src/new.py", "conf/train.log", "new.txt"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("two")
    assert changed_files() == ["conf/dataset/größe.yaml", "src/new.py"]


def test_the_lock_that_dvc_writes_does_not_count(repository: Path) -> None:
    (repository / "dvc.lock").write_text("two")
    assert changed_files() == []


def test_paths_are_those_of_a_project_within_a_larger_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "inner" / "conf").mkdir(parents=True)
    (repository / "inner" / "params.yaml").write_text("one")
    commit_everything(repository)
    (repository / "notes.txt").write_text("of others")
    (repository / "inner" / "params.yaml").write_text("two")
    (repository / "inner" / "conf" / "new.yaml").write_text("two")
    monkeypatch.chdir(repository / "inner")
    assert changed_files() == ["conf/new.yaml", "params.yaml"]


@pytest.mark.parametrize("ask", [head, changed_files])
def test_a_folder_without_a_commit_is_refused_with_what_to_do(
    ask: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for prepare in (lambda: None, lambda: git(tmp_path, "init", "-q")):
        prepare()
        with pytest.raises(ValueError, match=r"git knows no commit of this folder .*git init"):
            ask()  # type: ignore[operator]
