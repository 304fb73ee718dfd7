"""Reads a raw split into a corpus, one row group at a time, in several processes if there are enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.labels import BadRow, TagLabels
from unroll.data.prepare.rows import RowReader
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.raw import group_starts, raw_rows

FEW_GROUPS = 4  # up to this number of row groups, starting processes takes longer than reading


@dataclass(frozen=True)
class Chunk:
    """The rows of a row group: their distinct tokens in order, and the ids (M,) of all tokens, from 1."""

    distinct: list[str]
    ids: np.ndarray
    lengths: np.ndarray
    labels: list[list[int]]
    rows: list[int]
    quarantined: list[tuple[int, str]]


def read_split(path: Path, reader: RowReader, corpus: Corpus, processes: int | None = 1) -> SplitRows:
    """Append the usable rows of a raw split to the corpus; the result does not depend on the number of processes.

    `processes=None` uses one process per core.

    Raises:
        ValueError: a process was killed, for example for lack of memory.
    """
    start = len(corpus.tokens)
    has_tags = isinstance(reader.labels, TagLabels)
    lengths, labels, rows = [np.zeros(0, np.int64)], [reader.labels.array([])], [np.zeros(0, np.int64)]
    quarantined: list[tuple[int, str]] = []
    for chunk in _chunks(path, reader, processes):
        corpus.tokens.append(corpus.distinct.ids(chunk.distinct)[chunk.ids - 1])
        found = reader.labels.array(chunk.labels)
        if has_tags:
            corpus.tags.append(found)
        else:
            labels.append(found)
        lengths.append(chunk.lengths)
        rows.append(np.array(chunk.rows, np.int64))
        quarantined += chunk.quarantined
    counts = np.concatenate(lengths)
    return SplitRows(
        corpus=corpus,
        starts=start + np.cumsum(counts) - counts,
        lengths=counts,
        labels=None if has_tags else np.concatenate(labels),
        rows=np.concatenate(rows),
        quarantined=quarantined,
    )


def _chunks(path: Path, reader: RowReader, processes: int | None) -> Iterator[Chunk]:
    *starts, _ = group_starts(path)
    tasks = (delayed(read_chunk)(path, reader, group, start) for group, start in enumerate(starts))
    workers = processes or cpu_count() if len(starts) > FEW_GROUPS else 1
    try:
        yield from Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2 * n_jobs", batch_size=1)(tasks)
    except TerminatedWorkerError as error:
        raise ValueError(
            f"processes={processes}: a process was killed; accepted: fewer processes, if memory ran out"
        ) from error


def read_chunk(path: Path, reader: RowReader, group: int, start: int) -> Chunk:
    """Read the row group `group`, whose first row is row `start` of the split."""
    distinct = DistinctTokens()
    ids: list[np.ndarray] = [np.zeros(0, np.int32)]
    labels: list[list[int]] = []
    rows: list[int] = []
    quarantined: list[tuple[int, str]] = []
    for row, values in enumerate(raw_rows(path, reader.source, group), start):
        try:
            tokens, found = reader.read(values)
        except BadRow as reason:
            quarantined.append((row, str(reason)))
        else:
            ids.append(distinct.ids(tokens))
            labels.append(found)
            rows.append(row)
    lengths = np.array([len(tokens) for tokens in ids[1:]], np.int64)
    return Chunk(list(distinct), np.concatenate(ids), lengths, labels, rows, quarantined)
