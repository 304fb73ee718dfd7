"""Language models: the perplexity beside that of trigrams, and the speed of a training step.

    python -m benchmarks.language_model [FOLDER] [--documents 25000] [--epochs 2] [--hidden 256] [--device cpu]

FOLDER contains a copy of imdb in the Hub's layout; without it, only the speed is measured. Each hundredth document of
the training split is held out. All models have the vocabulary of the network and predict the same tokens: all but
the first of a document forwards, all but the last backwards. Only the network sees capital letters, as a feature of the
tokens that it reads.

The speed is that of the matrix products of a training step, in % of that of a large matrix product, in turns with it in
one thread; other operations, such as σ and AdamW, count as time alone.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from benchmarks.corpora import Corpora
from benchmarks.kneser_ney import Trigrams, reversed_documents
from benchmarks.shipped import configuration
from benchmarks.table import machine
from benchmarks.timing import alternate, timed
from unroll.data.encoding import TokenTable
from unroll.data.prepared import PreparedData
from unroll.data.ragged import Ragged
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS, UNKNOWN
from unroll.nn.devices import choose, describe
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.fit import LanguageModeling
from unroll.pretraining.language_model import LanguageModel
from unroll.pretraining.reading import Passage, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler, sampled_loss

HIDDEN, BATCH_TOKENS, WORDS = 512, 16_384, 30_000  # of the measured step
SQUARE = {"cpu": 1024, "cuda": 8192}  # size of the large matrix product


def corpus_of(data: PreparedData, documents: int) -> TokenCorpus:
    """The first texts of the training split in an order of chance, since some datasets are sorted by label."""
    every, schema = data.split("train").sequences, data.schema
    order = np.random.default_rng(0).permutation(len(every))[:documents]
    learned, held = every.take(np.delete(order, np.s_[::100])), every.take(order[::100])
    counts = np.bincount(data.table.words[learned.values], minlength=len(schema.vocabulary))
    return TokenCorpus(
        schema.vocabulary, counts, schema.alphabet, schema.tokenizer, data.table, learned, held, data.checksum
    )


def random_corpus(documents: int, length: int) -> TokenCorpus:
    """Words of Zipf's frequencies."""
    frequencies = 1 / np.arange(1, WORDS + 1)
    rows = np.random.default_rng(0).choice(WORDS, documents * length, p=frequencies / frequencies.sum()) + 1
    ids = np.arange(WORDS + 1) + UNKNOWN
    table = TokenTable(np.where(ids > UNKNOWN, ids, 0), (ids > UNKNOWN).astype(int), Ragged(ids[:0], ids * 0))
    every = Ragged.from_lengths(rows.astype(np.int32), [length] * documents)
    vocabulary = [*SPECIAL_WORDS, *(f"w{i}" for i in range(WORDS))]
    counts = np.bincount(table.words[rows], minlength=len(vocabulary))
    return TokenCorpus(vocabulary, counts, SPECIAL_WORDS, Tokenizer(), table, every, every.head(1), checksum="")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.language_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--documents", type=int, default=25_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(speed(choose(arguments.device)), flush=True)
    if arguments.folder:
        with tempfile.TemporaryDirectory() as work:
            corpus = corpus_of(Corpora(arguments.folder, Path(work)).public("imdb"), arguments.documents)
            compare(corpus, modeling(arguments.hidden, epochs=arguments.epochs, device=arguments.device), Path(work))


def modeling(hidden: int, **options: Any) -> LanguageModeling:
    """The shipped options, with an encoder of this size."""
    shipped = {key: value for key, value in configuration("pretraining", "language_model").items() if key != "_target_"}
    return LanguageModeling(**(shipped | {"model": shipped["model"] | {"hidden_size": hidden}} | options))


def compare(corpus: TokenCorpus, method: LanguageModeling, work: Path) -> None:
    """Print the perplexities of held-out documents by unigrams and trigrams, and by the network after each epoch."""
    corpus = corpus.limited(method.min_count, method.max_words)
    tokens, vocabulary = len(corpus.sequences.values), len(corpus.vocabulary)
    print(f"imdb, {tokens:,} tokens, {vocabulary:,} words, {len(corpus.held_out.values):,} tokens held out")
    print("| model | forwards | backwards | CPU minutes |\n|---|---|---|---|")
    learned, held = (Ragged(corpus.table.words[it.values], it.offsets) for it in (corpus.sequences, corpus.held_out))
    start = time.process_time()
    shares = np.log((corpus.counts + 1) / (corpus.counts + 1).sum())
    position = np.arange(len(held.values)) - np.repeat(held.offsets[:-1], held.lengths)
    is_last = position == np.repeat(held.lengths, held.lengths) - 1
    line("unigrams", start, shares[held.values[position > 0]], shares[held.values[~is_last]])
    ways = [
        Trigrams(way(learned), vocabulary).log_probabilities(way(held)) for way in (lambda it: it, reversed_documents)
    ]
    line("trigrams, Kneser–Ney", start, *ways)

    def report(epoch: int, figures: dict[str, float]) -> None:
        found = [-np.log([figures[f"val/{it}perplexity"]]) for it in ("", "backward_")]
        line(f"LSTM, {method.model['hidden_size']} units, epoch {epoch}", start, *found)

    start = time.process_time()
    method.learn(corpus, 1, work, report)


def line(name: str, start: float, forwards: np.ndarray, backwards: np.ndarray) -> None:
    """Print a line of the table, from the logarithms of the probabilities of all words."""
    minutes = (time.process_time() - start) / 60
    print(f"| {name} | {np.exp(-forwards.mean()):.1f} | {np.exp(-backwards.mean()):.1f} | {minutes:.1f} |", flush=True)


def speed(device: torch.device) -> str:
    """The share of the matrix peak of a training step of both directions, in words."""
    method, corpus = modeling(HIDDEN, batch_tokens=BATCH_TOKENS), random_corpus(BATCH_TOKENS // 256, 256)
    torch.manual_seed(0)
    model = method.build(corpus).to(device)
    windows = Windows(corpus.table, corpus.sequences, method.window, method.context)
    batches = ShuffledPassages(windows, 0, BATCH_TOKENS, Sampler(len(corpus.vocabulary), method.samples))
    passage = move_data_to_device(next(iter(batches)), device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=method.lr, fused=True)
    size = SQUARE.get(device.type, 4096)
    square = torch.randn(size, size, device=device, dtype=torch.bfloat16 if device.type == "cuda" else torch.float32)

    def finish(work: Any) -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    (per_operation, seconds), repeats = alternate(
        timed(lambda: finish(lambda: square @ square), 2 * size**3),
        timed(lambda: finish(lambda: step(model, passage, optimizer))),
    )
    share = 100 * operations(model, passage) * per_operation / seconds
    steps = passage.tokens.words.numel()
    return (
        f"{describe(device)}, LSTM, 2 × {HIDDEN} units, {steps:,} tokens per step, {method.samples} negatives: "
        f"{steps / seconds:,.0f} tokens/s, {share:.0f} % of {1e-9 / per_operation:,.0f} GFLOP/s, {repeats} repeats"
    )


def step(model: LanguageModel, passage: Passage[Tensor], optimizer: torch.optim.Optimizer) -> None:
    with torch.autocast("cuda", torch.bfloat16, enabled=model.bias.is_cuda):
        vectors, words = model(passage)
    assert passage.negatives is not None
    loss = sampled_loss(vectors.float(), words, passage.negatives, model.embedding.words.weight, model.bias)
    optimizer.zero_grad()
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def operations(model: LanguageModel, passage: Passage[Tensor]) -> int:
    """Of the matrix products of a training step: two per weight and vector forward, and twice as many backward."""
    assert passage.negatives is not None
    steps, width = passage.tokens.words.numel(), model.embedding.words.embedding_dim
    gates = 4 * model.size * (model.embedding.output_size + model.size)
    predicted = len(passage.forward.words) + len(passage.backward.words)
    each_way = steps * (gates + model.size * width) * model.directions
    return 3 * 2 * (each_way + predicted * width * len(passage.negatives.words))


if __name__ == "__main__":
    main()
