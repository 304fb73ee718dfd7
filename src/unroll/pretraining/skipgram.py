"""Word vectors by skip-gram with subwords and negative sampling (Bojanowski et al. 2017)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, logsigmoid, softplus

from unroll.checks import check_least
from unroll.data.pretrained import Kind, Pretrained
from unroll.data.ragged import Ragged
from unroll.data.subword_vectors import ngram_rows
from unroll.data.tokens import SPECIAL_WORDS
from unroll.pretraining.checkpoints import Checkpoint
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.pretrain import Report

BLOCK = 1 << 21  # number of tokens of whole documents that are in memory at a time, and between checkpoints
LENGTH = 3.0  # of the vectors of words, on average
PER_COMMON = 50  # dimensions for each direction that is removed
_SPECIAL = len(SPECIAL_WORDS)


@dataclass(frozen=True)
class SkipGram:
    """Learns to predict the words around each word from the mean of its own vector and the mean of its n-grams.

    Args:
        embedding_size: E, the number of dimensions.
        epochs: over all documents.
        window: the maximum distance of a predicted word; the distance is drawn anew for each word.
        negatives: the weight of words that are not there, relative to one that is.
        shared_negatives: the number of drawn words that all words of a batch are contrasted with; each has an equal
            part of the weight.
        min_count: words with fewer occurrences are left out.
        subsample: words with a greater share of all tokens are left out at random, the more often the more frequent.
        power: negatives are drawn in proportion to the counts of words, raised to this.
        min_ngram, max_ngram, buckets: see `SubwordVectors`; without buckets there are no subwords.
        batch_tokens: the number of words in a step.
        lr: the learning rate of Adagrad at the start; it declines to 0 linearly.

    Raises:
        ValueError: an option is out of its range.
    """

    embedding_size: int = 100
    epochs: int = 5
    window: int = 5
    negatives: int = 5
    shared_negatives: int = 256
    min_count: int = 3
    subsample: float = 1e-4
    power: float = 0.5
    min_ngram: int = 3
    max_ngram: int = 6
    buckets: int = 200_000
    batch_tokens: int = 2048
    lr: float = 0.1

    @property
    def kind(self) -> Kind:
        return "vectors"

    def __post_init__(self) -> None:
        least_one = ("embedding_size", "epochs", "window", "negatives", "shared_negatives", "min_count", "min_ngram")
        check_least(1, **{f"pretraining.{name}": getattr(self, name) for name in least_one})
        check_least(self.min_ngram, **{"pretraining.max_ngram": self.max_ngram})
        check_least(self.window + 1, **{"pretraining.batch_tokens": self.batch_tokens})
        check_least(0, **{"pretraining.buckets": self.buckets, "pretraining.power": self.power})
        for name in ("subsample", "lr"):
            value = getattr(self, name)
            if not value > 0 or (name == "lr" and math.isinf(value)):
                raise ValueError(f"pretraining.{name}={value}; accepted: above 0")

    def learn(self, corpus: TokenCorpus, seed: int, checkpoints: Path, report: Report) -> Pretrained:
        """Train on the documents of a corpus; a training that was interrupted goes on from its last block.

        The result depends on the corpus, the options and the seed alone.

        Raises:
            ValueError: the corpus has no word that is frequent enough.
        """
        corpus = corpus.limited(self.min_count)
        if len(corpus.vocabulary) == _SPECIAL:
            raise ValueError(
                f"pretraining.min_count={self.min_count}: no word of the corpus occurs so often; accepted: fewer"
            )
        tables, checkpoint = _Tables.start(self, corpus, seed), Checkpoint(checkpoints / "last.npz")
        done, figures = checkpoint.load(tables.arrays) or ((0, 0), {})
        for epoch in range(done[0], self.epochs):
            order, edges = _blocks(corpus.sequences, seed, epoch)
            first = done[1] if epoch == done[0] else 0
            sums = figures if first else dict.fromkeys(("loss", "pairs", "tokens", "seconds"), 0.0)
            for block in range(first, len(edges) - 1):
                with checkpoint.timed(sums):
                    draw = np.random.default_rng([seed, epoch, block])
                    documents = corpus.sequences.take(order[edges[block] : edges[block + 1]])
                    progress = (epoch + np.array(edges[block : block + 2]) / len(order)) / self.epochs
                    for batch, share in self._batches(documents, corpus, draw):
                        left = 1 - (progress[0] + share * (progress[1] - progress[0]))
                        loss, pairs = tables.step(batch, draw, self.lr * max(left, 1e-4))
                        sums["loss"] += loss
                        sums["pairs"] += pairs
                    sums["tokens"] += len(documents.values)
                checkpoint.save(tables.arrays, (epoch, block + 1), sums)
            report(
                epoch + 1,
                {
                    "train/loss": sums["loss"] / max(1.0, sums["pairs"]),
                    "tokens_per_second": sums["tokens"] / max(1e-9, sums["seconds"]),
                },
            )
        words, subwords = tables.vectors()
        weights = {"words": words} | ({"subwords": subwords} if self.buckets else {})
        names = ("embedding_size", "min_ngram", "max_ngram", "buckets")
        config: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Pretrained("vectors", corpus.vocabulary, corpus.tokenizer, config, weights)

    def _batches(
        self, documents: Ragged, corpus: TokenCorpus, draw: np.random.Generator
    ) -> Iterator[tuple["_Batch", float]]:
        """The words of a block in their order, without rare words and some frequent ones, and the share done before."""
        words = corpus.table.words[documents.values] - _SPECIAL
        owners = np.repeat(np.arange(len(documents)), documents.lengths)
        shares = corpus.counts[_SPECIAL:] / corpus.counts[_SPECIAL:].sum()
        kept_share = np.sqrt(self.subsample / shares) + self.subsample / shares
        is_kept = (words >= 0) & (draw.random(len(words)) < kept_share[words])
        words, owners = words[is_kept], owners[is_kept]
        for start in range(0, len(words), self.batch_tokens):
            part = slice(start, start + self.batch_tokens)
            reach = draw.integers(1, self.window + 1, len(words[part]))
            yield _Batch(*map(torch.from_numpy, (words[part], owners[part], reach))), start / len(words)


@dataclass(frozen=True)
class _Batch:
    """Consecutive words (M,), the document of each, and how far its predicted words may be."""

    words: Tensor
    documents: Tensor
    reach: Tensor


class _Tables:
    """The weights: rows of the words and their n-grams (V + buckets, E), and of words as predicted ones (V, E).

    Adagrad has one sum of squared gradients per row.
    """

    def __init__(self, options: SkipGram, corpus: TokenCorpus, arrays: dict[str, Tensor]) -> None:
        self.arrays, self._options = arrays, options
        words = corpus.vocabulary[_SPECIAL:]
        grams = ngram_rows(words, options.min_ngram, options.max_ngram, options.buckets)
        # The rows of each word: its own, then those of its n-grams.
        rows = np.insert(grams.values + len(words), grams.offsets[:-1], np.arange(len(words)))
        self._rows = torch.from_numpy(rows)
        self._starts = torch.from_numpy(grams.offsets[:-1] + np.arange(len(words)))
        self._lengths = torch.from_numpy(grams.lengths + 1)
        # Half of a word is its own vector, which thus is not lost among twenty n-grams.
        own = np.where(grams.lengths > 0, 0.5, 1.0)
        shares = np.repeat(0.5 / grams.lengths.clip(1), grams.lengths)
        self._shares = torch.from_numpy(np.insert(shares, grams.offsets[:-1], own).astype(np.float32))
        counts = corpus.counts[_SPECIAL:].astype(np.float64) ** options.power
        self._sampling = np.cumsum(counts / counts.sum())

    @classmethod
    def start(cls, options: SkipGram, corpus: TokenCorpus, seed: int) -> "_Tables":
        size, words = options.embedding_size, len(corpus.vocabulary) - _SPECIAL
        generator = torch.Generator().manual_seed(seed)
        read = torch.empty(words + options.buckets, size).uniform_(-1 / size, 1 / size, generator=generator)
        arrays = {"read": read, "predicted": torch.zeros(words, size)}
        sums = {f"{name}_sums": torch.zeros(len(array)) for name, array in arrays.items()}
        return cls(options, corpus, arrays | sums)

    def step(self, batch: _Batch, draw: np.random.Generator, lr: float) -> tuple[float, float]:
        """One step of gradient descent; return the summed loss and the number of pairs of words."""
        options, predicted = self._options, self.arrays["predicted"]
        distinct, inverse = batch.words.unique(return_inverse=True)
        places, lengths = self._places_of(distinct), self._lengths[distinct]
        composed = self._composed(distinct)  # (U, E)
        read, others = composed[inverse], predicted[distinct][inverse]  # (M, E)
        to_read, to_others = torch.zeros_like(read), torch.zeros_like(others)
        pairs, loss = torch.zeros(len(read)), torch.zeros(())
        for distance in range(1, min(options.window, len(read) - 1) + 1):
            near, far = slice(None, -distance), slice(distance, None)
            together = batch.documents[near] == batch.documents[far]
            for one, other in ((near, far), (far, near)):
                is_pair = (together & (batch.reach[one] >= distance)).float()
                scores = (read[one] * others[other]).sum(1)
                slopes = ((scores.sigmoid() - 1) * is_pair)[:, None]
                to_read[one].addcmul_(slopes, others[other])
                to_others[other].addcmul_(slopes, read[one])
                pairs[one] += is_pair
                loss -= (logsigmoid(scores) * is_pair).sum()
        drawn = np.searchsorted(self._sampling, draw.random(options.shared_negatives)).clip(max=len(predicted) - 1)
        negatives, times = torch.from_numpy(drawn).unique(return_counts=True)
        contrasts = predicted[negatives]  # (K, E)
        scores = read @ contrasts.T  # (M, K)
        weights = pairs[:, None] * times * (options.negatives / options.shared_negatives)
        loss += (softplus(scores) * weights).sum()
        slopes = scores.sigmoid() * weights
        to_read += slopes @ contrasts
        to_composed = torch.zeros_like(composed).index_add_(0, inverse, to_read)
        to_distinct = torch.zeros_like(composed).index_add_(0, inverse, to_others)
        used, inverse = self._rows[places].unique(return_inverse=True)
        to_rows = to_composed.repeat_interleave(lengths, 0) * self._shares[places, None]
        to_used = torch.zeros(len(used), read.shape[1]).index_add_(0, inverse, to_rows)
        self._descend("read", used, to_used, lr)
        self._descend("predicted", distinct, to_distinct, lr)
        self._descend("predicted", negatives, slopes.T @ read, lr)
        return float(loss), float(pairs.sum())

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of all words (V + special, E), and of the n-grams (buckets, E), zero for those of no word.

        All vectors share most of their length, which says nothing about a word. So the mean is subtracted, and the few
        directions in which they differ most are removed (Mu and Viswanath 2018), from the n-grams too, which have a
        mean of their own. One factor then gives words the mean length LENGTH.
        """
        count = len(self.arrays["predicted"])
        own, grams = np.split(self.arrays["read"].numpy(), [count])
        words = np.concatenate([self._composed(part).numpy() for part in torch.arange(count).split(1 << 14)])
        has_grams = self._lengths.numpy() > 1
        mean_of_grams = (2 * words - own)[has_grams].mean(0) if has_grams.any() else np.float32(0)
        words = words - words.mean(0)
        size = words.shape[1]
        directions = np.linalg.eigh(words.T.astype(np.float64) @ words).eigenvectors  # the one of most variance last
        common = directions[:, size - size // PER_COMMON :]
        kept = (np.eye(size) - common @ common.T).astype(np.float32)
        kept *= LENGTH / max(1e-9, float(np.linalg.norm(words @ kept, axis=1).mean()))
        is_learned = self.arrays["read_sums"].numpy()[count:, None] > 0
        special = np.zeros((_SPECIAL, size), np.float32)
        return np.concatenate([special, words @ kept]), np.where(
            is_learned, (grams - mean_of_grams) @ kept, np.float32(0)
        )

    def _composed(self, words: Tensor) -> Tensor:
        """The vectors (U, E) of words (U,)."""
        places, lengths = self._places_of(words), self._lengths[words]
        starts = lengths.cumsum(0) - lengths
        return embedding_bag(
            self._rows[places], self.arrays["read"], starts, mode="sum", per_sample_weights=self._shares[places]
        )

    def _places_of(self, words: Tensor) -> Tensor:
        """Where the rows of some words are in `_rows`, one word after the other."""
        lengths = self._lengths[words]
        before = lengths.cumsum(0) - lengths
        steps = torch.arange(int(lengths.sum())) - before.repeat_interleave(lengths)
        return self._starts[words].repeat_interleave(lengths) + steps

    def _descend(self, name: str, rows: Tensor, gradient: Tensor, lr: float) -> None:
        """A step of Adagrad for distinct rows."""
        sums = self.arrays[f"{name}_sums"]
        sums[rows] += gradient.square().mean(1)
        self.arrays[name][rows] -= lr * gradient / (sums[rows].sqrt() + 1e-6)[:, None]


def _blocks(documents: Ragged, seed: int, epoch: int) -> tuple[np.ndarray, list[int]]:
    """A random order of the documents, and the positions in it that divide it into blocks of about BLOCK tokens."""
    order = np.random.default_rng([seed, epoch]).permutation(len(documents))
    ends = np.cumsum(documents.lengths[order])
    edges = np.searchsorted(ends, np.arange(BLOCK, ends[-1], BLOCK), side="right")
    return order, sorted({0, *map(int, edges), len(order)})
