"""Run each training in a new process."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.training.options import TrainOptions
from unroll.training.train import train

# One process imports everything; each training runs in a fork of it, in which no code has run before.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tests.tiny", "unroll.training.train", "unroll.training.network"])


def train_apart(
    data: PreparedData,
    output: Path,
    parts: dict[str, Any],
    options: TrainOptions,
    first: Callable[[], object] | None = None,
) -> int | None:
    """Call `first`, then `train`, in a new process; return its exit code."""
    process = _context.Process(target=_train, args=(data.folder, output, parts, options, first))
    process.start()
    process.join()
    return process.exitcode


def _train(
    folder: Path,
    output: Path,
    parts: dict[str, Any],
    options: TrainOptions,
    first: Callable[[], object] | None,
) -> None:
    if first:
        first()
    train(PreparedData(folder), parts, options, output)
