"""Makes a corpus: reads texts, leaves out those of evaluations and repeated ones, and writes arrays."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import delayed

from unroll.checks import check_below_one, check_least, check_seed
from unroll.data.encoding import DistinctTokens
from unroll.data.prepare.duplicates import Sameness, text_keys
from unroll.data.prepare.split_rows import Corpus, SplitRows
from unroll.data.prepare.workers import in_processes
from unroll.data.prepared import PreparedData
from unroll.data.ragged import Ragged
from unroll.data.text import is_visible
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import UNKNOWN
from unroll.files import whole_folder
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.sources import Document

FEW = 4  # up to this number of batches, starting processes takes longer than reading
Documents = Iterator[list[Document]]


@dataclass(frozen=True)
class CorpusOptions:
    """A corpus; a file of ``conf/corpus``.

    Args:
        sources: the arguments of each `TextSource`, by a name of choice.
        exclude: the datasets whose validation and test texts are left out; None for all that are in ``data/raw``.
        same: which texts are taken for those: with the same `tokens`, the same `words`, or `near`ly the same words.
        held_out: the share of documents for the perplexity, which nothing is learned from.
        seed: of the draw of these.
        licence: of the texts, for the card.

    Raises:
        ValueError: there is no source, or a number is out of its range.
    """

    sources: dict[str, dict[str, Any]]
    exclude: list[str] | None = None
    same: Sameness = "near"
    held_out: float = 0.01
    seed: int = 0
    licence: str | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("corpus.sources={}; accepted: one or more sources, NAME: {dataset: …} or NAME: {path: …}")
        check_below_one(**{"corpus.held_out": self.held_out})
        check_seed("corpus.seed", self.seed)


def build_corpus(
    sources: Mapping[str, Documents],
    excluded: Mapping[str, Documents],
    tokenizer: Tokenizer,
    options: CorpusOptions,
    output: Path,
    facts: Mapping[str, Any],
    processes: int | None = None,
) -> dict[str, Any]:
    """Write the documents of `sources` as a `TokenCorpus` into the folder `output`; return its description.

    A document is left out if it is one of `excluded`, or has the same words as an earlier one.

    Args:
        excluded: the texts of evaluations, by what the description calls them.
        facts: more entries of the description.
        processes: that read; None for one per core. The result does not depend on it.

    Raises:
        ValueError: no document is left.
    """
    check_least(1, "one per core", processes=processes)
    with whole_folder(output) as work:
        corpus, reasons = Corpus(work), Counter[str]()
        read = {name: _read(it, corpus, tokenizer, reasons, processes) for name, it in sources.items()}
        known = len(corpus.distinct)
        others = {name: _read(it, corpus, tokenizer, Counter(), processes) for name, it in excluded.items()}
        whole = _joined(corpus, list(read.values()))
        keys = text_keys({"": whole, **others})
        kept = np.ones(len(whole), bool)
        for name in others:
            is_same = kept & np.isin(keys[options.same][""], keys[options.same][name])
            reasons[f"in {name}"] += int(is_same.sum())
            kept &= ~is_same
        first = np.unique(keys["words"][""], return_index=True)[1]
        is_first = np.zeros(len(whole), bool)
        is_first[first] = True
        reasons["repeated"] += int((kept & ~is_first).sum())
        documents = np.flatnonzero(kept & is_first)
        dropped = {reason: count for reason, count in reasons.items() if count}
        if not len(documents):
            shown = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "no document"
            raise ValueError(f"{output.name} has no usable document ({shown}); accepted: one or more texts")
        size = min(math.ceil(options.held_out * len(documents)), len(documents) - 1)
        held_out = np.sort(np.random.default_rng(options.seed).permutation(documents)[:size])
        numbers = TokenCorpus.write(
            work, whole.take(np.setdiff1d(documents, held_out)), whole.take(held_out), tokenizer, known
        )
        description = {
            **facts,
            **numbers,
            "read": {name: len(rows) for name, rows in read.items()},
            "dropped": dropped,
            "compared_with": {name: len(rows) for name, rows in others.items()},
        }
        TokenCorpus.describe(work, description)
    return description


def coverage(corpus: TokenCorpus, data: PreparedData) -> float:
    """The share of the training tokens of a dataset whose word is in the vocabulary of the corpus."""
    known = set(corpus.vocabulary)
    table, train = data.table, data.split("train")
    is_known = np.array([word in known for word in data.schema.vocabulary])
    is_known[: UNKNOWN + 1] = False
    counts = np.bincount(train.tokens, minlength=len(table.words))
    return float(counts[is_known[table.words]].sum() / counts.sum())


class _Chunk(NamedTuple):
    """The distinct tokens of a batch, and its usable documents as ids of them, from 1; the reasons for the others."""

    distinct: list[str]
    tokens: Ragged
    unusable: Counter[str]


def _read(
    batches: Documents, corpus: Corpus, tokenizer: Tokenizer, reasons: Counter[str], processes: int | None
) -> SplitRows:
    """Append the usable documents to the corpus; add the reasons for the others to `reasons`."""
    start, lengths = len(corpus.tokens), [np.zeros(0, np.int64)]
    for chunk in _chunks(batches, tokenizer, processes):
        corpus.tokens.append(corpus.distinct.ids(chunk.distinct)[chunk.tokens.values - 1])
        lengths.append(chunk.tokens.lengths)
        reasons.update(chunk.unusable)
    sizes = np.concatenate(lengths)
    return _rows(corpus, start + np.cumsum(sizes) - sizes, sizes)


def _rows(corpus: Corpus, starts: np.ndarray, lengths: np.ndarray) -> SplitRows:
    return SplitRows(corpus, starts, lengths, None, np.arange(len(lengths)))


def _joined(corpus: Corpus, parts: list[SplitRows]) -> SplitRows:
    return _rows(corpus, *(np.concatenate([getattr(it, name) for it in parts]) for name in ("starts", "lengths")))


def _chunks(batches: Documents, tokenizer: Tokenizer, processes: int | None) -> Iterator[_Chunk]:
    first = list(islice(batches, FEW))
    tasks = (delayed(_tokenize)(batch, tokenizer) for batch in chain(first, batches))
    return in_processes(tasks, processes, is_little=len(first) < FEW)


def _tokenize(batch: list[Document], tokenizer: Tokenizer) -> _Chunk:
    distinct, unusable = DistinctTokens(), Counter[str]()
    found: list[np.ndarray] = []
    for document in batch:
        if document is None:
            unusable["not a text in UTF-8"] += 1
            continue
        if isinstance(document, str):
            tokens = tokenizer.tokenize(document)
        else:
            tokens = [tokenizer.normalize(token) for token in document] if any(map(is_visible, document)) else []
        if tokens:
            found.append(distinct.ids(tokens))
        else:
            unusable["empty text"] += 1
    return _Chunk(list(distinct), Ragged.from_sequences(found, np.int32), unusable)
