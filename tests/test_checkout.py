"""The tests are of the checkout that they are in, also if another one is installed."""

import subprocess
import sys
from pathlib import Path

import unroll


def test_tests_import_the_package_of_their_checkout(project: Path) -> None:
    assert Path(unroll.__file__).is_relative_to(project / "src")


def test_their_processes_do_too(project: Path, tmp_path: Path) -> None:
    code = "import unroll; print(unroll.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(project / "src")
