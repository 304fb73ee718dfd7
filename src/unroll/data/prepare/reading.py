"""A raw split into a corpus, a row group at a time, in several processes where that pays."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.labels import BadRow
from unroll.data.prepare.rows import RowReader, group_starts, raw_rows
from unroll.data.prepare.split_rows import Corpus, SplitRows

FEW_GROUPS = 4  # are read before other processes have started


@dataclass(frozen=True)
class Chunk:
    """What a row group holds: its distinct tokens as they were met, and `ids` (M,) from 1 into them."""

    distinct: list[str]
    ids: np.ndarray
    lengths: np.ndarray
    targets: list[list[int]]
    rows: list[int]
    quarantined: list[tuple[int, str]]


def read_split(path: Path, reader: RowReader, corpus: Corpus, processes: int | None = 1) -> SplitRows:
    """Append the usable rows of a raw split to the corpus; the same whatever the number of processes.

    Args:
        processes: None is one a core.

    Raises:
        ValueError: a process was killed, as happens where memory runs out.
    """
    start = len(corpus.tokens)
    lengths, labels, rows = [np.zeros(0, np.int64)], [_labels([], reader)], [np.zeros(0, np.int64)]
    quarantined: list[tuple[int, str]] = []
    for chunk in _chunks(path, reader, processes):
        corpus.tokens.append(corpus.distinct.ids(chunk.distinct)[chunk.ids - 1])
        target = _labels(chunk.targets, reader)
        if reader.source.task == "labeling":
            corpus.tags.append(target)
        else:
            labels.append(target)
        lengths.append(chunk.lengths)
        rows.append(np.array(chunk.rows, np.int64))
        quarantined += chunk.quarantined
    counts = np.concatenate(lengths)
    return SplitRows(
        corpus=corpus,
        starts=start + np.cumsum(counts) - counts,
        lengths=counts,
        labels=None if reader.source.task == "labeling" else np.concatenate(labels),
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
        raise ValueError(f"processes={processes}: one was killed; accepted: fewer, if memory ran out") from error


def read_chunk(path: Path, reader: RowReader, group: int, start: int) -> Chunk:
    """Read the row group `group`, whose first row is row `start` of the split."""
    distinct = DistinctTokens()
    ids: list[np.ndarray] = [np.zeros(0, np.int32)]
    targets: list[list[int]] = []
    rows: list[int] = []
    quarantined: list[tuple[int, str]] = []
    for row, values in enumerate(raw_rows(path, reader.source, group), start):
        try:
            tokens, target = reader.read(values)
        except BadRow as reason:
            quarantined.append((row, str(reason)))
        else:
            ids.append(distinct.ids(tokens))
            targets.append(target)
            rows.append(row)
    lengths = np.array([len(tokens) for tokens in ids[1:]], np.int64)
    return Chunk(list(distinct), np.concatenate(ids), lengths, targets, rows, quarantined)


def _labels(targets: list[list[int]], reader: RowReader) -> np.ndarray:
    """(N,) int64, one a text; (N, L) bool, any number a text; (M,), one a token."""
    if reader.source.task != "multilabel":
        return np.array([label for target in targets for label in target], np.int64)
    matrix = np.zeros((len(targets), len(reader.labels.names)), bool)
    for row, target in enumerate(targets):
        matrix[row, target] = True
    return matrix
