"""`unroll score` on many rows: rows a second on one core and more, memory, and what is left after kills.

    python -m benchmarks.scoring [MODEL] [--rows 1000000] [--sample 100000] [--kills 3]

MODEL is a run folder or model folder that was exported; by default an untrained model of conf/model/bilstm.yaml for the
demo reviews, which costs as much as a trained one. The rows are sentences of the demo reviews. All of the rows are
scored with all cores, killed at random moments and started again; then every row must be there once.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.serving.__main__ import untrained
from unroll.inference.exporting.export import export
from unroll.project import project_root

BATCH = 50_000  # rows that are generated at once
PAUSE = 0.1  # seconds between two looks at the processes


@dataclass
class Use:
    """What a command and its processes have used.

    Args:
        seconds: until it ended or was killed.
        memory: MiB at most; memory that processes share is counted for each of them.
        cpu: seconds of processor time by process.
    """

    seconds: float = 0.0
    memory: float = 0.0
    cpu: dict[int, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=100_000, help="rows for the speed of each number of processes")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    demo = project_root() / "data" / "demo" / "demo_reviews"
    texts = pq.read_table(demo / "data" / "test-00000-of-00001.parquet")["text"].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = arguments.model
        if model is None:
            model = work / "onnx"
            export(untrained(demo, work), model)
        draw = random.Random(arguments.seed)
        rate = 0.0
        generate(work / "sample.parquet", arguments.sample, texts, draw)
        for processes in range(1, (os.cpu_count() or 1) + 1):
            use = score(model, work / "sample.parquet", work / f"sample-{processes}", processes)
            rate = arguments.sample / use.seconds
            print(
                f"{processes} processes: {arguments.sample} rows in {use.seconds:.1f} s, {rate:,.0f} rows/s; "
                f"{arguments.sample / sum(use.cpu.values()):,.0f} rows per second of CPU; {use.memory:.0f} MiB",
                flush=True,
            )
        generate(work / "all.parquet", arguments.rows, texts, draw)
        memory, expected = 0.0, arguments.rows / rate
        for kill in range(arguments.kills):
            after = draw.uniform(0.2, 0.9) * expected / arguments.kills
            use = score(model, work / "all.parquet", work / "all", None, after)
            memory = max(memory, use.memory)
            print(f"kill {kill + 1} after {use.seconds:.1f} s", flush=True)
        use = score(model, work / "all.parquet", work / "all", None)
        memory = max(memory, use.memory)
        print(f"{arguments.rows} rows: {memory:.0f} MiB at most; {verified(work / 'all', arguments.rows)}")


def generate(path: Path, rows: int, texts: list[str], draw: random.Random) -> None:
    """Write rows with a number and a text."""
    with pq.ParquetWriter(path, pa.schema({"id": pa.int64(), "text": pa.string()})) as writer:
        for start in range(0, rows, BATCH):
            ids = range(start, min(start + BATCH, rows))
            writer.write_table(pa.table({"id": pa.array(ids, pa.int64()), "text": draw.choices(texts, k=len(ids))}))


def score(model: Path, rows: Path, output: Path, processes: int | None, kill_after: float | None = None) -> Use:
    """Run the command, and kill all its processes after so many seconds."""
    command = [sys.executable, "-m", "unroll.cli", "score", str(rows), "--model", str(model), "--output", str(output)]
    if processes is not None:
        command.append(f"--processes={processes}")
    use, start = Use(), time.monotonic()
    with subprocess.Popen(command, start_new_session=True) as process:
        while process.poll() is None:
            observe(psutil.Process(process.pid), use)
            if kill_after is not None and time.monotonic() - start > kill_after:
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(PAUSE)
    use.seconds = time.monotonic() - start
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    return use


def observe(process: psutil.Process, use: Use) -> None:
    """Add what the process and all below it have used by now."""
    memory = 0.0
    try:
        for one in [process, *process.children(recursive=True)]:
            memory += one.memory_info().rss / 2**20
            times = one.cpu_times()
            use.cpu[one.pid] = times.user + times.system
    except psutil.NoSuchProcess:  # ended meanwhile
        return
    use.memory = max(use.memory, memory)


def verified(output: Path, rows: int) -> str:
    """Whether every row is there once, in order, with a label."""
    following = 0
    for part in sorted(output.glob("part-*.parquet")):
        table = pq.read_table(part)
        expected = pa.array(range(following, following + len(table)), pa.int64())
        if not table["id"].combine_chunks().equals(expected) or pc.any(pc.is_null(table["label"])).as_py():
            raise RuntimeError(f"{part}: rows are missing, repeated or without a label")
        following += len(table)
    if following != rows:
        raise RuntimeError(f"{output} has {following} rows; expected: {rows}")
    return "every row is there once, in order"


if __name__ == "__main__":
    main()
