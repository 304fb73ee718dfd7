"""The commands of docs/serving.md for production: the systemd unit and the container."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from unroll import cli

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "serving.md").read_text()


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    unit = block("ini").replace("/opt/unroll/.venv/bin/unroll", str(shutil.which("true")))
    good, bad = tmp_path / "unroll.service", tmp_path / "bad.service"
    good.write_text(unit)
    bad.write_text(unit.replace("KillMode=mixed", "KillMode=mixd"))

    assert [verify(good), "mixd" in verify(bad)] == ["", True]


def verify(unit: Path) -> str:
    """What systemd says about a unit."""
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("language", "pattern"), [("ini", r"^ExecStart=\S+/(unroll .+)$"), ("dockerfile", r"^CMD (\[.+\])$")]
)
def test_the_command_to_start_is_one_that_the_program_accepts(
    language: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = re.findall(pattern, block(language), re.MULTILINE)[0]
    words = json.loads(line) if line.startswith("[") else shlex.split(line)
    monkeypatch.setattr("sys.argv", [*words, "--poll=0"])  # after all options were read
    monkeypatch.setenv("UNROLL_SERVE_TOKEN", "a-secret-word")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert words[:2] == ["unroll", "serve"]
    assert "--poll=0" in str(ended.value.code)
