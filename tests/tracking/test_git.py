from pathlib import Path

import pytest

from tests.tracking.repository import commit_everything, enter, git
from unroll.files import sha256
from unroll.tracking.git import changed_code, changed_files, differing_code, head, source_tags, uncommitted

SOURCE = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "pipelines/train.py"}


def test_the_commit_is_the_one_checked_out(repository: Path) -> None:
    assert head() == git(repository, "rev-parse", "HEAD")


def test_the_commit_is_that_of_the_project_whatever_folder_it_is_called_from(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = commit_everything(elsewhere)
    (repository / "src/net.py").write_text("two")
    monkeypatch.chdir(elsewhere)
    assert head() == git(repository, "rev-parse", "HEAD") != other
    assert changed_code() == {"src/net.py": sha256(repository / "src/net.py")}


def test_nothing_is_changed_after_a_commit(repository: Path) -> None:
    (repository / "README.md").touch()
    assert changed_files() == []


@pytest.mark.parametrize("name", ["conf/train.yaml", "README.md"])
@pytest.mark.parametrize("staged", [True, False])
def test_a_tracked_file_that_was_edited_is_named(repository: Path, name: str, staged: bool) -> None:
    (repository / name).write_text("two")
    if staged:
        git(repository, "add", name)
    assert changed_files() == [name]


def test_a_tracked_file_that_was_removed_is_named(repository: Path) -> None:
    (repository / "README.md").unlink()
    assert changed_files() == ["README.md"]


def test_new_files_count_where_code_is_only(repository: Path) -> None:
    for name in ("conf/dataset/größe.yaml", "src/new.py", "conf/train.log", "new.txt"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("two")
    assert changed_files() == ["conf/dataset/größe.yaml", "src/new.py"]


def test_the_lock_that_dvc_writes_does_not_count(repository: Path) -> None:
    (repository / "dvc.lock").write_text("two")
    assert changed_files() == []


@pytest.mark.parametrize("path", ["data/mine", "data/mine/*.csv"])
def test_files_of_other_datasets_do_not_count_for_one(repository: Path, path: str) -> None:
    files = ["conf/dataset/mine.yaml", "conf/dataset/other.yaml", "data/mine/a.csv", "data/other/a.csv"]
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("one")
    commit_everything(repository)
    for name in [*files, "conf/train.yaml"]:
        (repository / name).write_text("two")
    assert uncommitted("mine", path) == ["conf/dataset/mine.yaml", "conf/train.yaml", "data/mine/a.csv"]


def test_choices_that_a_training_does_not_compose_do_not_count_for_it(repository: Path) -> None:
    files = ["conf/model/gru.yaml", "conf/model/mine.yaml", "conf/model/other.yaml", "conf/tokenizer/words.yaml"]
    for name in files:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).touch()
    assert uncommitted("mine", "data/mine") == files
    composed = ["conf/model/gru.yaml", "conf/model/mine.yaml", "conf/dataset/mine.yaml", "conf/train.yaml"]
    assert uncommitted("mine", "data/mine", composed) == [name for name in files if name != "conf/model/other.yaml"]


def test_paths_are_those_of_a_project_within_a_larger_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "inner" / "conf").mkdir(parents=True)
    (repository / "inner" / "params.yaml").write_text("one")
    commit_everything(repository)
    (repository / "README.md").write_text("of others")
    (repository / "inner" / "params.yaml").write_text("two")
    (repository / "inner" / "conf" / "new.yaml").write_text("two")
    enter(repository / "inner", monkeypatch)
    assert changed_files() == ["conf/new.yaml", "params.yaml"]


@pytest.mark.parametrize("ask", [head, changed_files])
def test_a_folder_without_a_commit_is_refused_with_what_to_do(
    ask: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for prepare in (lambda: None, lambda: git(tmp_path, "init", "-q")):
        prepare()
        with pytest.raises(ValueError, match=r"git finds no commit of .* \(.*git init"):
            ask()  # type: ignore[operator]


def test_the_tags_say_whether_code_was_changed(repository: Path) -> None:
    commit = head()
    assert source_tags("train") == SOURCE | {"mlflow.source.git.commit": commit, "git.changed": "false"}
    (repository / "conf" / "new.yaml").write_text("two")
    assert source_tags("train") == SOURCE | {"mlflow.source.git.commit": commit, "git.changed": "true"}


def test_outside_a_repository_or_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (source_tags("train"), changed_code()) == (SOURCE, {})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (source_tags("train"), changed_code()) == (SOURCE, {})


@pytest.fixture
def code(repository: Path) -> str:
    """A commit that adds two code files."""
    for name in ("src/a.py", "src/b.py"):
        (repository / name).write_text(name)
    return commit_everything(repository)


def test_changed_code_is_known_by_its_checksums(repository: Path, code: str) -> None:
    assert changed_code() == {}
    (repository / "README.md").write_text("two")
    (repository / "src/a.py").write_text("two")
    (repository / "src/b.py").rename(repository / "src/c.py")
    assert changed_code() == {
        "src/a.py": sha256(repository / "src/a.py"),
        "src/b.py": None,
        "src/c.py": sha256(repository / "src/c.py"),
    }


def test_a_commit_of_no_code_makes_no_difference(repository: Path, code: str) -> None:
    (repository / "README.md").write_text("two")
    assert commit_everything(repository) != code
    assert differing_code(code, {}) == []


def test_code_differs_by_what_it_holds_whether_committed_or_not(repository: Path, code: str) -> None:
    (repository / "src/a.py").write_text("two")
    assert differing_code(code, {}) == ["src/a.py"]
    commit_everything(repository)
    assert differing_code(code, {}) == ["src/a.py"]
    (repository / "src/b.py").rename(repository / "src/c.py")
    assert differing_code(code, {}) == ["src/a.py", "src/b.py", "src/c.py"]


def test_a_change_that_was_committed_since_makes_no_difference(repository: Path, code: str) -> None:
    (repository / "src/a.py").write_text("two")
    (repository / "src/b.py").rename(repository / "src/c.py")
    then = changed_code()
    assert differing_code(code, then) == []
    commit_everything(repository)
    assert differing_code(code, then) == []
    (repository / "src/c.py").unlink()
    assert differing_code(code, then) == ["src/c.py"]


def test_a_change_that_was_taken_back_since_differs(repository: Path, code: str) -> None:
    (repository / "src/a.py").write_text("two")
    then = changed_code()
    git(repository, "checkout", "-q", "src/a.py")
    assert differing_code(code, then) == ["src/a.py"]


def test_a_commit_that_is_not_here_is_named(repository: Path) -> None:
    with pytest.raises(ValueError, match=f"commit {'0' * 40} is not in this repository"):
        differing_code("0" * 40, {})
