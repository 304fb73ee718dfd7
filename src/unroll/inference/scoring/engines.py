"""Where chunks are scored: in processes of this machine, on a Spark cluster, or on a Ray cluster.

All engines call the same function on the same chunks, so that their outputs are equal to the last bit on the same kind
of processor.
"""

import logging
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

from unroll.files import reason
from unroll.inference.scoring.inputs import Chunk
from unroll.side_by_side import Done, Line, attempt, side_by_side

Work = Callable[[Chunk], Any]
Events = Generator[Line | Done, None, None]  # closed, if the work is to end early
Engine = Callable[[Work, Sequence[Chunk], int | None, str | None], Events]

_PATIENCE = 5.0  # seconds
_STARTS = 5  # of Ray
_MODULES = ("unroll.inference.scoring.part", "unroll.inference.onnx_model")


def in_processes(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score in processes of this machine, one for each core it may use, each with its own copy of the model."""
    from joblib import cpu_count  # knows a container's quota too

    if address:
        raise ValueError(f"--address={address}: of a cluster; accepted: with --engine spark or ray")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of PyTorch, for a model that is not exported
    yield from side_by_side(work, chunks, min(processes or cpu_count(), len(chunks)), _MODULES)


def on_spark(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score on Spark: one task a chunk. Without an address, as `spark-submit` says, else on this machine's cores."""
    _refuse(processes)
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise ValueError("--engine=spark: there is no Java; accepted: Java 17 or later in PATH or JAVA_HOME")
    _check_listening(address)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("unroll score").config("spark.ui.showConsoleProgress", "false")
    try:
        session = (builder.master(address) if address else builder).getOrCreate()
        try:
            tasks = session.sparkContext.parallelize(list(enumerate(chunks)), len(chunks))
            yield from tasks.map(lambda task: attempt(work, *task)).collect()
        finally:
            session.stop()
    except Exception as error:
        if not isinstance(error, PySparkException) and not type(error).__module__.startswith("py4j"):
            raise
        java = getattr(error, "java_exception", None)  # the message of the error has its stack
        cause = reason(error) if java is None else java.toString().partition("\n")[0]
        raise ValueError(f"--engine=spark: {cause}") from error


def on_ray(work: Work, chunks: Sequence[Chunk], processes: int | None, address: str | None) -> Events:
    """Score with Ray Data: one task a chunk. Without an address, as RAY_ADDRESS says, else on this machine's cores."""
    _refuse(processes)
    _check_listening(address or os.environ.get("RAY_ADDRESS"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data
    from ray.exceptions import RayError

    def run(row: dict[str, Any]) -> dict[str, Any]:
        done = attempt(work, int(row["id"]), chunks[row["id"]])
        return {"index": done.index, "result": list(done.result or ()), "error": done.error or ""}

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        _start_ray(address)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            tasks = ray.data.range(len(chunks), override_num_blocks=len(chunks))
            for row in tasks.map(run).iter_rows():
                yield Done(row["index"], tuple(row["result"]), row["error"] or None)
        finally:
            ray.shutdown()
    except (RayError, ConnectionError) as error:
        raise ValueError(f"--engine=ray: {reason(error)}") from error


def _start_ray(address: str | None) -> None:
    """Join the cluster, or start one, which on a busy machine may take longer than the 30 seconds that Ray waits."""
    import ray

    for attempts_left in reversed(range(_STARTS)):
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)
            return
        except Exception as error:  # Ray raises Exception itself
            ray.shutdown()
            if attempts_left == 0 or "timed out during startup" not in str(error):
                raise ValueError(f"--engine=ray: {reason(error)}") from error


def _refuse(processes: int | None) -> None:
    if processes is not None:
        raise ValueError(f"--processes={processes}: the cluster decides; accepted: with --engine local")


def _check_listening(address: str | None) -> None:
    """Raise ValueError in seconds if nothing listens there, which the engines find out after minutes."""
    found = re.fullmatch(r"(?:spark://|ray://)?([^/:,]+):(\d+)", address or "")
    if found:
        try:
            socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE).close()
        except OSError as error:
            cause = error.strerror or str(error)
            raise ValueError(f"--address={address}: {cause}; accepted: that of a running cluster") from error


ENGINES: dict[str, Engine] = {"local": in_processes, "spark": on_spark, "ray": on_ray}
