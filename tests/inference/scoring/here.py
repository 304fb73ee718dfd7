"""Scoring in a single process, which may be killed; imports as little as the command."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unroll.inference.predictor import Predictor
from unroll.inference.scoring import engines
from unroll.inference.scoring.job import ScoreOptions
from unroll.inference.scoring.score import score
from unroll.inference.server.source import FolderSource
from unroll.side_by_side import Done

MANY, HALF = 200, 2500  # bytes of a part that make many of them, or two


def in_this_process(
    work: Callable[[Any], Any], chunks: Sequence[Any], processes: int | None, address: str | None
) -> Iterator[Done]:
    for index, chunk in enumerate(chunks):
        yield Done(index, work(chunk))


def score_until(step: int, rows: str, output: str, model: str) -> None:
    """Score, and be killed before a file or folder is replaced for the time that `step` says, from 0."""
    left = step

    def counted(replace: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any, **options: Any) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            replace(*given, **options)

        return call

    os.replace, os.rename = counted(os.replace), counted(os.rename)
    engines.ENGINES["local"] = in_this_process
    score(FolderSource(Path(model)), [rows], Path(output), ScoreOptions(), Predictor, part_bytes=HALF)
