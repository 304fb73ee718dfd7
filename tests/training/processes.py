"""Run each training in a new process."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.forks import forking
from unroll.data.prepared import PreparedData
from unroll.training.options import TrainOptions
from unroll.training.train import train

# What the process has imported, in a fork of which a training runs.
MODULES = ("pytest", "tests.tiny", "unroll.training.train", "unroll.training.network")


def train_apart(
    data: PreparedData,
    output: Path,
    parts: dict[str, Any],
    options: TrainOptions,
    first: Callable[[], object] | None = None,
) -> int | None:
    """Call `first`, then `train`, in a new process; return its exit code."""
    process = forking(*MODULES).Process(target=_train, args=(data.folder, output, parts, options, first))
    process.start()
    process.join()
    return process.exitcode


def print_to(file: Path) -> None:
    """Let this process print to a file."""
    os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), sys.stdout.fileno())


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
