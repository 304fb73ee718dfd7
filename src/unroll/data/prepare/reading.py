"""Reads a raw split into a corpus, one row group at a time, in several processes if there are enough."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.labels import BadRow
from unroll.data.prepare.rows import RowReader
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.ragged import Ragged
from unroll.data.raw import group_starts, raw_rows

FEW_GROUPS = 4  # up to this number of row groups, starting processes takes longer than reading


class Chunk(NamedTuple):
    """The usable rows of a row group: their distinct tokens in order, and all tokens as ids in them, from 1."""

    distinct: list[str]
    tokens: Ragged
    labels: np.ndarray
    rows: np.ndarray
    quarantined: list[tuple[int, str]]


def read_split(path: Path, reader: RowReader, corpus: Corpus, processes: int | None = 1) -> SplitRows:
    """Append the usable rows of a raw split to the corpus; the result does not depend on the number of processes.

    `processes=None` uses one process per core.

    Raises:
        ValueError: a process was killed, for example for lack of memory.
    """
    start = len(corpus.tokens)
    has_tags = reader.source.task == "labeling"
    lengths, rows, labels = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [reader.labels.array([])]
    quarantined: list[tuple[int, str]] = []
    for chunk in _chunks(path, reader, processes):
        corpus.tokens.append(corpus.distinct.ids(chunk.distinct)[chunk.tokens.values - 1])
        if has_tags:
            corpus.tags.append(chunk.labels)
        else:
            labels.append(chunk.labels)
        lengths.append(chunk.tokens.lengths)
        rows.append(chunk.rows)
        quarantined += chunk.quarantined
    sizes = np.concatenate(lengths)
    return SplitRows(
        corpus=corpus,
        starts=start + np.cumsum(sizes) - sizes,
        lengths=sizes,
        labels=None if has_tags else np.concatenate(labels),
        rows=np.concatenate(rows),
        quarantined=quarantined,
    )


def _chunks(path: Path, reader: RowReader, processes: int | None) -> Iterator[Chunk]:
    *starts, _ = group_starts(path)
    tasks = (delayed(_read_chunk)(path, reader, group, start) for group, start in enumerate(starts))
    workers = processes or cpu_count() if len(starts) > FEW_GROUPS else 1
    try:
        yield from Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2 * n_jobs", batch_size=1)(tasks)
    except TerminatedWorkerError as error:
        raise ValueError(
            f"processes={processes}: a process was killed; accepted: fewer processes, if memory ran out"
        ) from error


def _read_chunk(path: Path, reader: RowReader, group: int, start: int) -> Chunk:
    """Read the row group `group`, whose first row is row `start` of the split."""
    distinct = DistinctTokens()
    tokens: list[np.ndarray] = []
    labels: list[list[int]] = []
    rows: list[int] = []
    quarantined: list[tuple[int, str]] = []
    for row, values in enumerate(raw_rows(path, reader.source, group), start):
        try:
            words, found = reader.read(values)
        except BadRow as reason:
            quarantined.append((row, str(reason)))
        else:
            tokens.append(distinct.ids(words))
            labels.append(found)
            rows.append(row)
    ids = Ragged.from_sequences(tokens, np.int32)
    return Chunk(list(distinct), ids, reader.labels.array(labels), np.array(rows, np.int64), quarantined)
