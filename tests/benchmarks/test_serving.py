"""The load tool of benchmarks.serving, in place of which a small program stands here."""

import stat
from pathlib import Path

import pytest

from benchmarks.serving import wrk
from benchmarks.serving.client import Address

COUNTS = """#!/bin/sh
echo 'Running 1s test'
echo '{"answered": 300, "seconds": 1.5, "p50": 2.5, "p99": 9.25, "status": 1, "connect": 0, "read": 2, "write": 0,' \
    '"timeout": 0}'
"""


def install(folder: Path, script: str) -> None:
    (folder / "wrk").write_text(script)
    (folder / "wrk").chmod(stat.S_IRWXU)


def load() -> wrk.Load:
    return wrk.load(Address("127.0.0.1", 9), "/predict", [b"{}"], 4, 1)


def test_errors_of_every_kind_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, COUNTS)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = load()

    assert (found.rate, found.errors) == (200, 3)
    assert str(found) == (
        "200 requests/s, p50 2.5 ms, p99 9.2 ms, 3 errors (1 status, 0 connect, 2 read, 0 write, 0 timeout)"
    )


def test_a_load_tool_that_fails_is_an_error_with_its_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "#!/bin/sh\necho unable to connect >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RuntimeError, match="status 1: unable to connect"):
        load()


def test_without_the_load_tool_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ValueError, match="wrk is not installed; to install it: apt-get install wrk"):
        load()
