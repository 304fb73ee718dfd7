"""Batches of prepared data: loading speed and share of padding."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.corpora import Corpora
from benchmarks.fit import looping, steps
from benchmarks.shipped import model
from benchmarks.timing import Row, alternate, rate_row, time_row, timed
from unroll.data.batches import ShuffledBatches
from unroll.data.padding import Batch
from unroll.data.prepared import EncodedSplit, PreparedData

SEED = 1


def rows(corpora: Corpora) -> Iterator[Row]:
    imdb, conll2003 = corpora.public("imdb"), corpora.public("conll2003")
    yield against_datasets(imdb.split("train"))
    yield padding("imdb", imdb.split("train"))
    yield padding("conll2003", conll2003.split("train"))
    yield against_worker(conll2003)


def against_datasets(split: EncodedSplit) -> Row:
    """A whole epoch of the package's batches next to one of `datasets`."""
    ours = ShuffledBatches(split, SEED, batch_size=64)
    theirs = DataLoader(as_dataset(split), batch_size=64, shuffle=True, collate_fn=pad)
    medians = alternate(timed(lambda: exhaust(ours), len(ours)), timed(lambda: exhaust(theirs), len(theirs)))
    title = "imdb, an epoch in random order, batch 64"
    return rate_row(title, "batches", "datasets in torch format, padded", medians)


def as_dataset(split: EncodedSplit) -> Any:
    """The split as a `datasets.Dataset`."""
    from datasets import Dataset

    sequences = np.split(split.tokens, split.offsets[1:-1])
    columns = {
        "words": [split.table.words[sequence] for sequence in sequences],
        "casing": [split.table.casing[sequence] for sequence in sequences],
        "label": np.array(split.labels),
    }
    return Dataset.from_dict(columns).with_format("torch")


def pad(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Collate examples into padded tensors."""
    return {
        "words": pad_sequence([example["words"] for example in examples], batch_first=True),
        "casing": pad_sequence([example["casing"] for example in examples], batch_first=True),
        "lengths": torch.tensor([len(example["words"]) for example in examples]),
        "label": torch.stack([example["label"] for example in examples]),
    }


def against_worker(data: PreparedData) -> Row:
    """Training with batches made in its own process, next to batches of a worker process, whose start is not timed."""
    torch.manual_seed(SEED)
    tagger = model("bilstm_char_crf", data)
    batches = ShuffledBatches(data.split("train"), SEED, batch_size=32, characters=True)
    worker = DataLoader(Stream(batches), batch_size=None, num_workers=1)
    medians = alternate(looping(tagger, batches, steps, limit=60), looping(deepcopy(tagger), worker, steps, limit=60))
    title = "conll2003, bilstm_char_crf, training step, batch 32, in a plain loop"
    return time_row(title, "batches made by a worker process", medians)


class Stream(IterableDataset[Batch[Tensor]]):
    """The package's batches as a dataset for a DataLoader."""

    def __init__(self, batches: ShuffledBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch[Tensor]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def exhaust(batches: Iterable[object]) -> None:
    for _ in batches:
        pass


def padding(name: str, split: EncodedSplit) -> Row:
    """The share of padding in an epoch of the package's batches, next to random batches."""
    size = 32
    lengths = [batch.tokens.lengths.numpy() for batch in ShuffledBatches(split, SEED, size)]
    random = np.random.default_rng(SEED).permutation(split.lengths)
    random_lengths = [random[start : start + size] for start in range(0, len(random), size)]
    ours, theirs = (100 * padded_share(some) for some in (lengths, random_lengths))
    return Row(f"{name}, padding in an epoch, batch {size}", ours, "%", "random batches", theirs, theirs / ours)


def padded_share(batches: list[np.ndarray]) -> float:
    """The share of padding in padded batches, given the lengths of each batch's sequences."""
    total = sum(len(lengths) * lengths.max() for lengths in batches)
    return float(1 - sum(lengths.sum() for lengths in batches) / total)
