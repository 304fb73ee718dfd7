"""A git repository for one test."""

import subprocess
from pathlib import Path

import pytest

IDENTITY = ["-c", "user.name=t", "-c", "user.email=t@example.org"]


def git(folder: Path, *arguments: str) -> str:
    """Run a git command that must succeed; return what it printed."""
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit_everything(folder: Path) -> str:
    """Commit everything in `folder`, and create the repository if it does not exist; return the commit."""
    git(folder, "init", "-q")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a commit")
    return git(folder, "rev-parse", "HEAD")


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make `folder` the current folder and the root of the project."""
    patch.chdir(folder)
    patch.setattr("unroll.tracking.git.PROJECT", folder)
