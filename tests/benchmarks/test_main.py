import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks.corpora import Corpora
from benchmarks.timing import Row

PACKED = Row("step", 20.0, "ms", "packed", 60.0, 3.0, 7)
SHARE = Row("padding", 4.06, "%")
FAST = Row("epoch", 12345.6, "tokens/s", "packed", 1234.56, 10.0, 5)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of the results; the groups are made up, and one needs a missing dataset."""
    groups = {
        "encoders": lambda corpora: iter([PACKED, SHARE]),
        "epochs": lambda corpora: iter([FAST]),
        "loading": from_missing_data,
    }
    monkeypatch.setattr(bench, "GROUPS", groups)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    return tmp_path / "results.json"


def from_missing_data(corpora: Corpora) -> Iterator[Row]:
    corpora.public("imdb")
    yield FAST


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "no_such_folder", *arguments])
    bench.main()


def groups(results: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(results.read_text())["groups"]
    return found


def test_rows_are_printed_as_a_table(
    monkeypatch: pytest.MonkeyPatch, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[0].count("|") == table[1].count("|")
    assert table[2:] == [
        "| step | 20 ms | 60 ms | packed | 3.00 | 7 |",
        "| padding | 4.1 % |  |  |  | 1 |",
        "| epoch | 12,346 tokens/s | 1,235 tokens/s | packed | 10.00 | 5 |",
    ]


def test_every_row_is_written_with_the_machine(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    run(monkeypatch)
    assert groups(results)["encoders"][0] == {
        "name": "step",
        "ours": 20.0,
        "theirs": 60.0,
        "unit": "ms",
        "other": "packed",
        "ratio": 3.0,
        "repeats": 7,
    }
    assert json.loads(results.read_text())["machine"]["threads"] == 1


def test_a_missing_dataset_skips_its_group_visibly(
    monkeypatch: pytest.MonkeyPatch, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    assert list(groups(results)) == ["encoders", "epochs"]
    assert "skipped: loading: no folder no_such_folder/imdb" in capsys.readouterr().out


def test_only_some_groups_keep_the_others_rows(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    run(monkeypatch)
    before = groups(results)
    monkeypatch.setitem(bench.GROUPS, "epochs", lambda corpora: iter([SHARE]))

    run(monkeypatch, "--only", "epochs")

    assert groups(results)["encoders"] == before["encoders"]
    assert [row["name"] for row in groups(results)["epochs"]] == ["padding"]


def test_rows_of_another_machine_are_dropped(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    run(monkeypatch)
    monkeypatch.setattr(bench, "machine", lambda: {"cpu": "another"})

    run(monkeypatch, "--only", "epochs")

    assert list(groups(results)) == ["epochs"]


def test_an_unknown_group_is_refused(
    monkeypatch: pytest.MonkeyPatch, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--only", "decoders")
    assert "choose from 'encoders', 'epochs', 'loading'" in capsys.readouterr().err
