"""Language models: what each direction sees, tied weights, and that every cell learns."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pretraining.corpora import corpus_of, cyclic, numbered
from unroll.nn import GRU, LRU, LSTM, QRNN, SLSTM, SRU, Elman, IndRNN, MinGRU, MinLSTM, PeepholeLSTM, RecurrentEncoder
from unroll.nn.embedding import TokenEmbedding
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.language_model import LanguageModel
from unroll.pretraining.reading import Passage, SequentialPassages, ShuffledPassages, Windows
from unroll.pretraining.softmax import Sampler, full_loss, sampled_loss

CELLS = (GRU, LRU, LSTM, QRNN, SLSTM, SRU, Elman, IndRNN, MinGRU, MinLSTM, PeepholeLSTM)
SIZE = 8
STACKED = {"num_layers": 3, "residual": True, "layer_norm": True}


def make_model(corpus: TokenCorpus, cell: Any = GRU, dropout: float = 0.0, **options: Any) -> LanguageModel:
    torch.manual_seed(0)
    embedding = TokenEmbedding(len(corpus.vocabulary), 2, SIZE, casing_size=2, dropout=dropout)
    encoder = RecurrentEncoder(SIZE + 2, SIZE, cell, **({"bidirectional": True} | options))
    return LanguageModel(embedding, encoder, corpus.counts, dropout)


def read_all(corpus: TokenCorpus, window: int = 100) -> Passage[Tensor]:
    """All documents as one batch."""
    (passage,) = SequentialPassages(Windows(corpus.table, corpus.sequences, window, 2), 10**6)
    return passage


@pytest.mark.parametrize(
    "options",
    [{}, STACKED | {"separate": True}, STACKED | {"bidirectional": False}],
    ids=["one", "separate", "forward"],
)
@pytest.mark.parametrize("cell", CELLS)
def test_a_prediction_does_not_depend_on_the_word_or_what_lies_beyond(cell: Any, options: dict[str, Any]) -> None:
    corpus, length, changed = numbered([9]), 9, 4
    model, passage = make_model(corpus, cell, **options).eval(), read_all(corpus)
    before = model(passage)[0]
    words = passage.tokens.words.clone()
    words[0, changed] = words[0, 0]
    after = model(passage._replace(tokens=passage.tokens._replace(words=words)))[0]
    is_equal = (before == after).all(dim=1).tolist()
    forward, backward = is_equal[: length - 1], is_equal[length - 1 :]  # of the words 1 to 8, and 0 to 7
    assert forward == [word <= changed for word in range(1, 9)]
    assert backward == [word >= changed for word in range(8)] * (model.directions == 2)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"layer_norm": True}], ids=["layers", "layer norm"])
def test_mixed_directions_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"accepted: model\.encoder\.separate=true$"):
        make_model(numbered([9]), **options)
    make_model(numbered([9]), separate=True, **options)


def test_the_vectors_of_words_are_those_of_the_scores() -> None:
    """The gradient of the embedding is the sum of that of the input and that of the output, in one parameter."""
    corpus = numbered([9])
    model, passage = make_model(corpus), read_all(corpus)
    weight = model.embedding.words.weight
    assert [name for name, it in model.named_parameters() if it.shape == weight.shape] == ["embedding.words.weight"]
    vectors, words = model(passage)
    everything = Sampler(len(corpus.vocabulary), 1000).draw(np.random.default_rng(0))
    negatives = type(everything)(*map(torch.from_numpy, everything))
    both, other, input_only = (
        torch.autograd.grad(sampled_loss(x, words, negatives, w, model.bias), weight, retain_graph=True)[0]
        for x, w in ((vectors, weight), (vectors.detach(), weight), (vectors, weight.detach()))
    )
    torch.testing.assert_close(both, other + input_only)
    assert input_only.abs().sum() > 0


def test_the_first_perplexity_is_near_that_of_a_unigram_model() -> None:
    documents = [[*"a" * 30, *"b" * 10, *"c" * 2, *(f"rare{i}_{j}" for j in range(20))] for i in range(10)]
    corpus = corpus_of([np.random.default_rng(i).permutation(it).tolist() for i, it in enumerate(documents)])
    model, passage = make_model(corpus).eval(), read_all(corpus)
    vectors, words = model(passage)
    shares = np.bincount(words.numpy(), minlength=len(corpus.vocabulary)) / len(words)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    loss = full_loss(vectors, words, model.embedding.words.weight, model.bias).item() / len(words)
    assert loss == pytest.approx(entropy, abs=0.15)


@pytest.mark.parametrize(
    "cell", [*CELLS, partial(LSTM, weight_dropout=0.2)], ids=lambda cell: getattr(cell, "__name__", "dropped")
)
def test_every_cell_learns_which_word_follows(cell: Any) -> None:
    corpus = cyclic()
    model = make_model(corpus, cell)
    windows = Windows(corpus.table, corpus.sequences, 20, 2)
    batches = ShuffledPassages(windows, 0, 100, Sampler(len(corpus.vocabulary), 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(20):
        for passage in batches:
            vectors, words = model(passage)
            optimizer.zero_grad()
            sampled_loss(vectors, words, passage.negatives, model.embedding.words.weight, model.bias).backward()
            optimizer.step()
    vectors, words = model.eval()(read_all(corpus))
    perplexity = np.exp(full_loss(vectors, words, model.embedding.words.weight, model.bias).item() / len(words))
    assert perplexity < 4.5  # of 6 equally frequent words


def test_dropout_of_states_is_shared_by_the_steps_of_a_window() -> None:
    corpus = numbered([9])
    model = make_model(corpus, lambda *sizes: nn.Linear(*sizes), dropout=0.5, bidirectional=False).train()
    nn.init.eye_(model.projections[0].weight)
    nn.init.zeros_(model.projections[0].bias)
    vectors, _ = model(read_all(corpus))
    dropped = (vectors == 0).all(dim=0)
    assert 0 < dropped.sum() < SIZE
    assert (vectors[:, ~dropped] != 0).all()
