"""Completion of the console command, by the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from unroll import cli
from unroll.inference.scoring.engines import ENGINES
from unroll.inference.texts import FORMATS

# Calls the function that the file names for the command, as bash does at a tab.
IN_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
read -r _ _ _ _ function _ < <(complete -p unroll)
"$function" unroll
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The file that completes the command in a shell."""
    with pytest.raises(SystemExit) as end:
        cli.make_parser().parse_args(["--print-completion", shell])
    assert not end.value.code
    file = folder / f"unroll.{shell}"
    file.write_text(capsys.readouterr().out)
    return file


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "predict export serve score play"),
        ("pr", "predict"),
        ("predict --pr", "--probabilities"),
        ("predict --format ", "txt csv tsv jsonl json parquet"),
        ("predict --file new", "new.csv"),
        ("predict --model mo", "models"),
        ("score new.csv --engine ", "local spark ray"),
        ("serve mo", "models"),
        ("play models mo", "models"),
    ],
)
def test_bash_completes_commands_options_and_values(
    line: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "new.csv").touch()
    file = script("bash", tmp_path, capsys)
    command = ["bash", "--norc", "-c", IN_BASH, "bash", str(file), "unroll", *line.split(" ")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == expected.split()


@pytest.mark.parametrize(("shell", "check"), [("zsh", "-n"), ("fish", "--no-execute")])
def test_other_shells_read_the_file(shell: str, check: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = script(shell, tmp_path, capsys)
    assert all(name in file.read_text() for name in cli.COMMANDS)
    if shutil.which(shell):
        assert subprocess.run([shell, check, str(file)]).returncode == 0


def test_values_are_those_that_the_commands_accept() -> None:
    assert [f".{name}" for name in cli.FORMATS] == list(FORMATS)
    assert list(cli.ENGINES) == list(ENGINES)
