"""The commit of the code, and what has changed since."""

import hashlib
import subprocess
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from unroll.files import sha256
from unroll.project import project_root

PROJECT = project_root()
CODE = ("conf", "pipelines", "src")  # folders in which an untracked file changes what a command does
SHOWN = 10  # files that a message lists
COMMIT = "mlflow.source.git.commit"  # the tag that MLflow shows as the version of a run


def head() -> str:
    """The commit that is checked out; raises ValueError if there is no git repository, or no commit in it."""
    return _git("rev-parse", "--verify", "HEAD")[0]


def changed_files() -> list[str]:
    """Tracked files that differ from the commit, and untracked ones in the code folders, relative to the project.

    Leaves out ``dvc.lock``, which DVC writes while the pipeline runs. Raises ValueError as :func:`head` does.
    """
    new = _git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    return sorted({*_diff("HEAD", ".", ":(exclude)dvc.lock"), *new})


def uncommitted(dataset: str, path: str, composed: Collection[str] = ()) -> list[str]:
    """The `changed_files` without those of other datasets than this one, whose source is `path`.

    Args:
        composed: files of conf/, such as ``conf/model/gru.yaml``: others of the same groups are left out too.
    """
    source, chosen = path.partition("*")[0], {*composed, f"conf/dataset/{dataset}.yaml"}
    groups = {str(Path(file).parent) for file in chosen} - {"conf"}

    def is_of_another(file: str) -> bool:
        if str(Path(file).parent) in groups:
            return file not in chosen
        return file.startswith("data/") and not file.startswith(source)

    return [file for file in changed_files() if not is_of_another(file)]


def first_of(files: list[str]) -> str:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return ", ".join(files[:SHOWN]) + more


def source_tags(script: str) -> dict[str, str]:
    """Tags of a run: the script and, in a repository, the commit and whether files have changed since."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"pipelines/{script}.py"}
    with suppress(ValueError):
        tags |= {COMMIT: head(), "git.changed": str(bool(changed_files())).lower()}
    return tags


def changed_code() -> dict[str, str | None]:
    """SHA-256 of each changed code file, None for a deleted one; empty outside a repository."""
    with suppress(ValueError):
        return {file: _checksum(file) for file in changed_files() if file.split("/")[0] in CODE}
    return {}


def differing_code(commit: str, changed: dict[str, str | None]) -> list[str]:
    """Code files that differ from `commit` with `changed` on top; raises ValueError without a repository or commit."""
    head()
    try:
        since = _diff(commit, *CODE)
    except ValueError as error:
        raise ValueError(f"commit {commit} is not in this repository; `git fetch` may find it") from error
    return [
        file
        for file in sorted({*since, *changed, *changed_code()})
        if _checksum(file) != (changed[file] if file in changed else _committed_checksum(commit, file))
    ]


def _checksum(file: str) -> str | None:
    path = PROJECT / file
    return sha256(path) if path.is_file() else None


def _committed_checksum(commit: str, file: str) -> str | None:
    done = subprocess.run(["git", "show", f"{commit}:./{file}"], cwd=PROJECT, capture_output=True)
    return hashlib.sha256(done.stdout).hexdigest() if done.returncode == 0 else None


def _diff(commit: str, *paths: str) -> list[str]:
    return _git("diff", "--name-only", "--no-renames", "--relative", commit, "--", *paths)


def _git(*arguments: str) -> list[str]:
    command = ["git", "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        raise ValueError(
            f"git finds no commit of {PROJECT} ({output.strip().splitlines()[0]}); "
            "first: git init && git add --all && git commit -m start"
        ) from error
    return done.stdout.splitlines()
