"""Virtual environments for other packages, and for this one as its users install it; pip needs a package index."""

import os
import subprocess
import venv
from pathlib import Path


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these packages only; return its interpreter.

    Args:
        folder: where; replaced if it exists.
        requirements: what pip takes: pinned packages, wheels, and options.

    Raises:
        RuntimeError: pip failed; says what it wrote.
    """
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(command, env=foreign(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"pip install {' '.join(requirements)} ended with status {done.returncode}: {done.stdout}")
    return python


def foreign() -> dict[str, str]:
    """Environment variables with which this project cannot be imported."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def megabytes(folder: Path) -> float:
    """The size of all files in a folder."""
    return sum(it.lstat().st_size for it in folder.rglob("*") if it.is_file()) / 1e6
