"""Where chunks are scored: in processes of this machine, on a Spark cluster, or on a Ray cluster.

All engines call the same function on the same chunks, so that their outputs are equal to the last bit on the same kind
of processor.
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

from unroll.inference.scoring.inputs import Chunk
from unroll.side_by_side import Done, Line, attempt, side_by_side

Work = Callable[[Chunk], Any]
Events = Generator[Line | Done, None, None]  # closed, if the work is to end early
Engine = Callable[[Work, Sequence[Chunk], int | None, str | None], Events]

_MODULES = ("unroll.inference.scoring.part", "unroll.inference.onnx_model")


def in_processes(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score in processes of this machine, each with its own copy of the model."""
    if address:
        raise ValueError(f"--address={address}: of a cluster; accepted: with --engine spark or ray")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of PyTorch, for a model that is not exported
    yield from side_by_side(work, chunks, min(processes or _cores(), len(chunks)), _MODULES)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_spark(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score on Spark: one task a chunk. Without an address, as `spark-submit` says, else on this machine's cores."""
    _refuse(processes)
    from pyspark.sql import SparkSession

    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise ValueError("--engine=spark: there is no Java; accepted: Java 17 or later in PATH or JAVA_HOME")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("unroll score").config("spark.ui.showConsoleProgress", "false")
    session = (builder.master(address) if address else builder).getOrCreate()
    try:
        tasks = session.sparkContext.parallelize(list(enumerate(chunks)), len(chunks))
        yield from tasks.map(lambda task: attempt(work, *task)).collect()
    finally:
        session.stop()


def on_ray(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score with Ray Data: one task a chunk. Without an address, as RAY_ADDRESS says, else on this machine's cores."""
    _refuse(processes)
    import ray
    import ray.data

    ray.init(address=address, log_to_driver=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        tasks = ray.data.from_items([{"index": i} for i in range(len(chunks))], override_num_blocks=len(chunks))

        def run(task: dict[str, Any]) -> dict[str, Any]:
            done = attempt(work, task["index"], chunks[task["index"]])
            return {"done": [done.index, *(done.result or (None, None))], "error": done.error}

        for row in tasks.map(run).iter_rows():
            index, *counts = row["done"]
            yield Done(index, tuple(counts), row["error"])
    finally:
        ray.shutdown()


def _refuse(processes: int | None) -> None:
    if processes is not None:
        raise ValueError(f"--processes={processes}: the cluster decides; accepted: with --engine local")


ENGINES: dict[str, Engine] = {"local": in_processes, "spark": on_spark, "ray": on_ray}
