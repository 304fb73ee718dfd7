"""`unroll score` on many rows: rows a second on one core and more, memory, and what is left after kills.

    python -m benchmarks.scoring [MODEL] [--rows 1000000] [--sample 100000] [--kills 3]
    python -m benchmarks.scoring [MODEL] --engines spark ray [--sample 10000]

MODEL is a run folder or model folder that was exported; by default an untrained model of conf/model/bilstm.yaml for the
demo reviews, which costs as much as a trained one. The rows are sentences of the demo reviews. All of the rows are
scored with all cores, killed at random moments and started again; then every row must be there once. With --engines,
the sample is scored on this machine's cores by each engine instead, and all files of the outputs must be equal.
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
from joblib import cpu_count

from benchmarks.shipped import untrained
from unroll.files import sha256
from unroll.inference.exporting.export import export
from unroll.project import project_root

BATCH = 50_000  # rows that are generated at once
ADDRESSES = {"spark": ["--address=local[2]"], "ray": []}
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
    parser.add_argument("--sample", type=int, help="rows for the speed of each number of processes; 100000")
    parser.add_argument("--engines", nargs="+", default=[], choices=list(ADDRESSES), metavar="engine")
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
            export(untrained(work), model)
        draw, sample = random.Random(arguments.seed), arguments.sample or (10_000 if arguments.engines else 100_000)
        generate(work / "sample.parquet", sample, texts, draw)
        if arguments.engines:
            compare_engines(arguments.engines, model, work / "sample.parquet", work)
            return
        rate = 0.0
        for processes in range(1, cpu_count() + 1):
            use = score(model, work / "sample.parquet", work / f"sample-{processes}", f"--processes={processes}")
            rate = sample / use.seconds
            print(
                f"{processes} processes: {sample} rows in {use.seconds:.1f} s, {rate:,.0f} rows/s; "
                f"{sample / sum(use.cpu.values()):,.0f} rows per second of CPU; {use.memory:.0f} MiB",
                flush=True,
            )
        generate(work / "all.parquet", arguments.rows, texts, draw)
        memory, expected = 0.0, arguments.rows / rate
        for kill in range(arguments.kills):
            after = draw.uniform(0.2, 0.9) * expected / arguments.kills
            use = score(model, work / "all.parquet", work / "all", kill_after=after)
            memory = max(memory, use.memory)
            print(f"kill {kill + 1} after {use.seconds:.1f} s", flush=True)
        use = score(model, work / "all.parquet", work / "all")
        memory = max(memory, use.memory)
        print(f"{arguments.rows} rows: {memory:.0f} MiB at most; {verified(work / 'all', arguments.rows)}")


def compare_engines(names: list[str], model: Path, rows: Path, work: Path) -> None:
    """Score on each engine, and compare the files with those of processes."""
    score(model, rows, work / "local")
    expected = {part.name: sha256(part) for part in (work / "local").glob("part-*")}
    for name in names:
        use = score(model, rows, work / name, f"--engine={name}", *ADDRESSES[name])
        found = {part.name: sha256(part) for part in (work / name).glob("part-*")}
        if found != expected:
            raise RuntimeError(f"{name}: other files than in processes")
        print(f"{name}: {len(found)} files, equal to those of processes; {use.seconds:.1f} s", flush=True)


def generate(path: Path, rows: int, texts: list[str], draw: random.Random) -> None:
    """Write rows with a number and a text."""
    with pq.ParquetWriter(path, pa.schema({"id": pa.int64(), "text": pa.string()})) as writer:
        for start in range(0, rows, BATCH):
            ids = range(start, min(start + BATCH, rows))
            writer.write_table(pa.table({"id": pa.array(ids, pa.int64()), "text": draw.choices(texts, k=len(ids))}))


def score(model: Path, rows: Path, output: Path, *options: str, kill_after: float | None = None) -> Use:
    """Run the command, and kill all its processes after so many seconds."""
    command = [sys.executable, "-m", "unroll.cli", "score", str(rows), "--model", str(model), "--output", str(output)]
    command += options
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
