"""The commit that the code stands at, and what was changed since."""

import hashlib
import subprocess

from unroll.files import sha256
from unroll.project import project_root

PROJECT = project_root()
CODE = ("conf", "pipelines", "src")  # a new file there changes what a command does
COMMIT = "mlflow.source.git.commit"  # the tag that MLflow shows as a run's version
UNCOUNTED = ":(exclude)dvc.lock"  # DVC writes it while the pipeline runs


def head() -> str:
    """The commit checked out.

    Raises:
        ValueError: there is no git repository here, or no commit in it.
    """
    (commit,) = _git("rev-parse", "--verify", "HEAD")
    return commit


def changed_files() -> list[str]:
    """Tracked files that differ from the commit, and files that git does not know where code is; without dvc.lock.

    Paths are relative to the project. Raises ValueError as `head` does.
    """
    changed = _git("diff", "--name-only", "--no-renames", "--relative", "HEAD", "--", ".", UNCOUNTED)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    return sorted({*changed, *new})


def git_tags() -> dict[str, str]:
    """What a run says of its code: the commit, and whether it was changed since; empty outside a repository."""
    try:
        return {COMMIT: head(), "git.changed": str(bool(changed_files())).lower()}
    except ValueError:
        return {}


def changed_code() -> dict[str, str | None]:
    """Those of the changed files that are code, to their checksums; None: deleted. Empty outside a repository."""
    try:
        return {file: _checksum(file) for file in changed_files() if file.split("/")[0] in CODE}
    except ValueError:
        return {}


def differing_code(commit: str, changed: dict[str, str | None]) -> list[str]:
    """Files of code that do not hold today what they held in `commit` with the `changed` ones on top of it.

    Raises:
        ValueError: the repository does not have that commit, or is none.
    """
    head()
    try:
        since = _git("diff", "--name-only", "--no-renames", "--relative", commit, "--", *CODE)
    except ValueError as error:
        raise ValueError(f"commit {commit} is not in this repository; git fetch may bring it") from error
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


def _git(*arguments: str) -> list[str]:
    command = ["git", "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ValueError(
            f"git knows no commit of {PROJECT} ({said.strip().splitlines()[0]}); "
            "first: git init && git add --all && git commit -m start"
        ) from error
    return done.stdout.splitlines()
