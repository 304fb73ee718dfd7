"""Overhead of Lightning over a plain training loop."""

from collections.abc import Iterator
from copy import deepcopy

import torch

from benchmarks.corpora import Corpora
from benchmarks.fit import SEED, fitting, looping, steps
from benchmarks.shipped import model
from benchmarks.timing import Row, alternate, time_row
from unroll.data.batches import ShuffledBatches

BATCH, STEPS, BATCHES, WORDS = 32, 30, 100, 10_000


def rows(corpora: Corpora) -> Iterator[Row]:
    data = corpora.made_up(BATCHES * BATCH, STEPS, WORDS)
    torch.manual_seed(SEED)
    bilstm = model("bilstm", data)
    ours, theirs = (ShuffledBatches(data.split("train"), SEED, BATCH) for _ in range(2))
    medians = alternate(
        fitting(bilstm, data, ours, steps, corpora.work),
        looping(deepcopy(bilstm), theirs, steps),
    )
    title = f"bilstm under Lightning, {BATCH} × {STEPS}, {WORDS:,} words: "
    yield time_row(title + "training step", "plain loop", medians)
    under_lightning, plain = medians.seconds
    yield Row(title + "overhead", 100 * (under_lightning / plain - 1), "%", repeats=medians.repeats)
