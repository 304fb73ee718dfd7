"""Engines call the same function on the same chunks, and say in one line what is wrong."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from joblib.externals.loky.backend import context

from tests.inference.scoring.conftest import Score
from tests.inference.scoring.here import MANY
from unroll.files import checksums
from unroll.inference.predictor import Predictor
from unroll.inference.scoring import engines
from unroll.inference.scoring.engines import in_processes, on_ray, on_spark
from unroll.inference.scoring.job import ScoreOptions
from unroll.inference.scoring.score import score
from unroll.inference.server.source import FolderSource
from unroll.side_by_side import Done, Line, attempt


def parts(folder: Path) -> dict[str, str]:
    return {name: it for name, it in checksums(folder).items() if name.endswith(".parquet")}


def test_processes_write_the_same_parts_as_one(run: Score, rows: Path, classifier: Path, tmp_path: Path) -> None:
    run(rows, part_bytes=MANY)
    engines.ENGINES["local"] = in_processes  # `run` restores what it has replaced
    done = run(rows, part_bytes=MANY, output="two")
    assert done.scored == 60
    assert parts(tmp_path / "two") == parts(tmp_path / "out")


@pytest.mark.parametrize(("engine", "address"), [("spark", "local[2]"), ("ray", None)])
def test_a_cluster_writes_the_same_parts_as_one_process(
    engine: str,
    address: str | None,
    run: Score,
    rows: Path,
    classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Starting clusters takes half a minute, so this runs where Spark, which is no part of the extra `test`, is."""
    pytest.importorskip("pyspark", reason="needs unroll[spark]")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # which else writes into the home folder
    run(rows, part_bytes=MANY)
    output = tmp_path / engine
    done = score(
        FolderSource(classifier), [str(rows)], output, ScoreOptions(), Predictor, MANY, engine, address=address
    )
    assert done.scored == 60
    assert parts(output) == parts(tmp_path / "out")


@pytest.mark.parametrize(("quota", "processes"), [("50000 100000", 1), ("150000 100000", 2), ("max 100000", 3)])
def test_there_are_as_many_processes_as_cores_that_a_container_may_use(
    quota: str, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    def opened(path: str) -> TextIO:
        assert path == "/sys/fs/cgroup/cpu.max"
        return (tmp_path / "cpu.max").open()

    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    monkeypatch.setattr(context, "open", opened, raising=False)
    started: list[int] = []
    monkeypatch.setattr(engines, "side_by_side", lambda work, chunks, count, modules: started.append(count) or iter(()))
    assert list(in_processes(str, list(range(9)), None, None)) == []  # type: ignore[arg-type]
    assert started == [processes]


def test_an_error_is_one_line_with_the_file_and_what_is_done_is_kept(
    run: Score, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(work: Any, chunks: Sequence[Any], *_: Any) -> Iterator[Line | Done]:
        yield Line(0, "a warning")
        yield attempt(work, 0, chunks[0])
        yield Line(1, "a warning")
        yield Done(1, error="its process was killed by signal 9 (out of memory?)")

    good = engines.ENGINES["local"]
    monkeypatch.setitem(engines.ENGINES, "local", failing)  # type: ignore[arg-type]
    said: list[str] = []
    with pytest.raises(ValueError) as error:
        run(rows, part_bytes=MANY, report=said.append)
    assert str(error.value) == (
        f"{rows}, part 1: its process was killed by signal 9 (out of memory?); the same command goes on"
    )
    assert said == ["a warning"]  # once
    monkeypatch.setitem(engines.ENGINES, "local", good)
    assert 0 < run(rows, part_bytes=MANY).scored < 60


def test_processes_get_paths_that_do_not_depend_on_the_current_folder(
    run: Score, rows: Path, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(work: Any, chunks: Sequence[Any], *_: Any) -> Iterator[Done]:
        monkeypatch.chdir("/")
        done = [attempt(work, i, chunk) for i, chunk in enumerate(chunks)]
        monkeypatch.chdir(tmp_path)
        yield from done

    monkeypatch.setitem(engines.ENGINES, "local", elsewhere)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    assert score(FolderSource(classifier), [rows.name], Path("out"), ScoreOptions(), Predictor).rows == 60


def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ValueError, match=rf"--address={address}: Connection refused; accepted: that of a running"):
            next(on_ray(str, [], None, address))


def test_ray_that_is_slow_to_start_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = ["The current node timed out during startup. This could happen", "the same: timed out during startup"]

    def init(**_: Any) -> None:
        if errors:
            raise Exception(errors.pop(0))

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: None))
    engines._start_ray(None)
    assert errors == []
    errors[:] = ["the disk is full", "not tried again"]
    with pytest.raises(ValueError, match="--engine=ray: the disk is full"):
        engines._start_ray(None)
    assert errors == ["not tried again"]


def test_options_of_another_engine_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"--address=local: of a cluster; accepted: with --engine spark or ray"):
        next(in_processes(str, [], None, "local"))
    for engine in (on_ray, on_spark):
        with pytest.raises(ValueError, match=r"--processes=2: the cluster decides; accepted: with --engine local"):
            next(engine(str, [], 2, None))


def test_spark_without_java_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark", reason="needs unroll[spark]")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ValueError, match="--engine=spark: there is no Java; accepted: Java 17 or later in PATH"):
        next(on_spark(str, [], None, None))
