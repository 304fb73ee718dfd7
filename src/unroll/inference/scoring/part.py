"""Scores the rows of a chunk and writes them as a part of the output; done by the processes of every engine."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from unroll.files import whole_file
from unroll.inference.answers import is_empty
from unroll.inference.scoring.columns import Rows, answer_columns
from unroll.inference.scoring.inputs import Chunk, Input, open_input
from unroll.inference.scoring.job import Job
from unroll.inference.text_predictor import Loader, TextPredictor


class Counts(NamedTuple):
    """The rows of a part, and how many of them have a problem."""

    rows: int
    problems: int


def score_chunk(job: Job, chunk: Chunk) -> Counts:
    """Write the part of a chunk, all or nothing; several processes may do so at the same time."""
    predictor = _predictor(job.loader, job.model, job.device)  # type: ignore[arg-type]  # a class, which has a hash
    batches, problems = [], 0
    is_whole = job.options.columns is None
    for rows in _opened(chunk.file).read(chunk.start, chunk.stop, chunk.line, job.read, is_whole):
        batch = _scored(job, predictor, rows)
        problems += len(batch) - batch.column(batch.num_columns - 1).null_count
        batches.append(batch)
    table = pa.Table.from_batches(batches, job.schema)
    with whole_file(job.part(chunk), mark=f"-{os.getpid()}-{uuid4().hex[:8]}") as temporary:
        pq.write_table(table, temporary, row_group_size=max(1, len(table)))
    return Counts(len(table), problems)


def _scored(job: Job, predictor: TextPredictor, rows: Rows) -> pa.RecordBatch:
    """The columns that are kept, the answers, and the problems."""
    texts = [rows.columns[name].to_pylist() for name in job.texts]
    given: list[Any] = texts[0] if len(texts) == 1 else list(zip(*texts, strict=True))
    problems, name = {i: [problem] for i, problem in rows.problems.items()}, " and ".join(job.texts)
    refused, most = set(rows.unread), job.options.max_characters
    for i, size in enumerate(map(_characters, given)):
        if size > most:
            problem = f"{name} has {size} characters; accepted: {most} or fewer, or --max-characters"
            problems.setdefault(i, []).append(problem)
            refused.add(i)
    usable: list[Any] = [None if i in refused else text for i, text in enumerate(given)]
    answers = predictor.predict(usable, job.batch_size, "coerce", job.options.probabilities)
    for i, answer in enumerate(answers):
        if i not in refused and is_empty(answer):
            problems.setdefault(i, []).append(predictor.problem(given[i], name) or "")
    columns = [rows.columns[name] for name in job.kept] + answer_columns(answers, job.answers)
    reasons = ["; ".join(filter(None, problems.get(i, ()))) or None for i in range(len(given))]
    return pa.record_batch([*columns, pa.array(reasons, pa.string())], job.schema)


def _characters(text: Any) -> int:
    if isinstance(text, str):
        return len(text)
    return sum(map(_characters, text)) if isinstance(text, list | tuple) else 0


@lru_cache(maxsize=1)
def _predictor(loader: Loader, model: Path, device: str) -> TextPredictor:
    """Loaded once for all chunks of a process."""
    pa.set_cpu_count(1)
    return loader.load(model, device)


@lru_cache(maxsize=1)
def _opened(file: str) -> Input:
    """Open, so that the next chunk of the file begins where the last one ended."""
    return open_input(file)


def read_counts(part: Path) -> Counts | None:
    """Of a part that is there; None if it is missing or damaged."""
    try:
        facts = pq.read_metadata(part)
        problems = facts.num_columns - 1
        groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
        found = [group.num_rows - group.column(problems).statistics.null_count for group in groups]
        return Counts(facts.num_rows, sum(found))
    except (OSError, pa.ArrowException):
        return None


def read_part(part: Path) -> Iterator[pa.Table]:
    """The rows of a part, in constant memory."""
    file = pq.ParquetFile(part)
    for batch in file.iter_batches(8192, use_threads=False):
        yield pa.Table.from_batches([batch])
