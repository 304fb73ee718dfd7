"""The commit that the code stands at, and what was changed since."""

import subprocess

CODE = ("conf", "pipelines", "src")  # a new file there changes what a command does
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

    Paths are relative to the current folder. Raises ValueError as `head` does.
    """
    changed = _git("diff", "--name-only", "--relative", "HEAD", "--", ".", UNCOUNTED)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    return sorted({*changed, *new})


def _git(*arguments: str) -> list[str]:
    command = ["git", "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ValueError(
            f"git knows no commit of this folder ({said.strip().splitlines()[0]}); "
            "first: git init && git add --all && git commit -m start"
        ) from error
    return done.stdout.splitlines()
