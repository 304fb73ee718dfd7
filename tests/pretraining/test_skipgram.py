"""Word vectors by skip-gram with subwords."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from tests.pretraining.conftest import Build
from unroll.data.pretrained import Pretrained
from unroll.data.subword_vectors import SubwordVectors
from unroll.data.tokens import SPECIAL_WORDS
from unroll.pretraining import skipgram
from unroll.pretraining.checkpoints import Checkpoint
from unroll.pretraining.corpus import TokenCorpus
from unroll.pretraining.skipgram import SkipGram

SMALL = SkipGram(embedding_size=8, epochs=3, window=2, shared_negatives=8, min_count=1, subsample=1.0, buckets=100)
FRUIT, TOOLS = ["apple", "pear", "plum"], ["hammer", "saw", "drill"]


@pytest.fixture
def corpus(build: Build) -> TokenCorpus:
    """Fruit is eaten and tools are used, in a hundred sentences."""
    draw = np.random.default_rng(0)
    pairs = [("we eat a ripe", FRUIT), ("they use a heavy", TOOLS)]
    texts = [f"{pairs[i % 2][0]} {draw.choice(pairs[i % 2][1])} x{i}" for i in range(100)]
    return build(texts)  # type: ignore[arg-type]


def learn(options: SkipGram, corpus: TokenCorpus, folder: Path, seed: int = 1) -> tuple[Pretrained, list[float]]:
    losses: list[float] = []
    folder.mkdir(exist_ok=True)
    found = options.learn(corpus, seed, folder, lambda epoch, figures: losses.append(figures["train/loss"]))
    return found, losses


def test_words_of_the_same_contexts_have_similar_vectors(corpus: TokenCorpus, tmp_path: Path) -> None:
    options = SkipGram(
        embedding_size=8, epochs=40, window=3, shared_negatives=32, min_count=1, subsample=1.0, buckets=0, lr=0.3
    )
    found, losses = learn(options, corpus, tmp_path / "state")
    assert losses[-1] < 0.8 * losses[0]
    ids = {word: i for i, word in enumerate(found.vocabulary)}
    unit = found.weights["words"] / (np.linalg.norm(found.weights["words"], axis=1, keepdims=True) + 1e-9)
    similar = unit @ unit.T
    for kind, other in ((FRUIT, TOOLS), (TOOLS, FRUIT)):
        alike = similar[ids[kind[0]], [ids[it] for it in kind[1:]]]
        assert alike.min() > similar[ids[kind[0]], [ids[it] for it in other]].max()
    assert "subwords" not in found.weights


def test_the_seed_decides_the_weights(corpus: TokenCorpus, tmp_path: Path) -> None:
    one, again, other = (learn(SMALL, corpus, tmp_path / str(i), seed)[0] for i, seed in enumerate((1, 1, 2)))
    assert all((one.weights[name] == again.weights[name]).all() for name in one.weights)
    assert (one.weights["words"] != other.weights["words"]).any()


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", range(1, 9))
def test_a_training_that_is_killed_ends_with_the_same_weights(
    corpus: TokenCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """It is killed in the middle of each of the blocks, three in an epoch, and goes on."""
    monkeypatch.setattr(skipgram, "BLOCK", 240)
    whole, losses = learn(SMALL, corpus, tmp_path / "whole")
    take, calls = type(corpus.sequences).take, 0

    def dying(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == after + 1:
            raise Killed
        return take(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(type(corpus.sequences), "take", dying)
        learn(SMALL, corpus, tmp_path / "state")
    resumed, others = learn(SMALL, corpus, tmp_path / "state")
    assert all((whole.weights[name] == resumed.weights[name]).all() for name in whole.weights)
    assert others == losses[-len(others) :]


def test_it_starts_over_from_a_damaged_checkpoint(
    corpus: TokenCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, _ = learn(SMALL, corpus, tmp_path / "state")
    file = tmp_path / "state/last.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    again, losses = learn(SMALL, corpus, tmp_path / "state")
    assert "last.npz is damaged" in capsys.readouterr().out
    assert len(losses) == SMALL.epochs
    assert (whole.weights["words"] == again.weights["words"]).all()


def test_rare_words_are_left_out(corpus: TokenCorpus, tmp_path: Path) -> None:
    rare = corpus.limited(20).vocabulary
    found, _ = learn(SkipGram(embedding_size=4, epochs=1, min_count=20, buckets=10), corpus, tmp_path / "state")
    assert found.vocabulary == rare
    assert found.weights["words"].shape == (len(rare), 4)
    with pytest.raises(ValueError, match=r"pretraining\.min_count=999: no word of the corpus occurs so often"):
        learn(SkipGram(min_count=999), corpus, tmp_path / "state")


def test_unknown_words_have_vectors_of_learned_ngrams_alone(corpus: TokenCorpus, tmp_path: Path) -> None:
    found, _ = learn(
        SkipGram(embedding_size=8, epochs=2, min_count=1, subsample=1.0, buckets=100_000), corpus, tmp_path / "state"
    )
    vectors = SubwordVectors(found.config, found.weights)
    assert (vectors.vectors_of(["zzqqxx"]) == 0).all()
    assert (vectors.vectors_of(["apples"]) != 0).all()


def test_what_all_vectors_share_is_removed(
    corpus: TokenCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean and two principal components, against those of scikit-learn; the n-grams lose the same."""
    monkeypatch.setattr(skipgram, "PER_COMMON", 4)
    found, _ = learn(SMALL, corpus, tmp_path / "state")
    words = found.weights["words"][len(SPECIAL_WORDS) :]
    tables = skipgram._Tables.start(SMALL, corpus, 1)
    Checkpoint(tmp_path / "state/last.npz").load(tables.arrays)
    learned = tables.arrays["read"].numpy()
    config = found.config
    grams = SubwordVectors(config, {"subwords": learned[len(words) :]}).vectors_of(
        found.vocabulary[len(SPECIAL_WORDS) :]
    )
    composed = (learned[: len(words)] + grams) / 2
    components = PCA(2).fit(composed).components_
    kept = np.eye(8) - components.T @ components
    expected, centred = (composed - composed.mean(0)) @ kept, (grams - grams.mean(0)) @ kept
    factor = skipgram.LENGTH / np.linalg.norm(expected, axis=1).mean()
    np.testing.assert_allclose(words, factor * expected, rtol=1e-3, atol=1e-4)
    of_grams = SubwordVectors(config, found.weights).vectors_of(found.vocabulary[len(SPECIAL_WORDS) :])
    np.testing.assert_allclose(of_grams, factor * centred, rtol=1e-3, atol=1e-4)
    assert np.linalg.norm(words, axis=1).mean() == pytest.approx(skipgram.LENGTH, rel=1e-5)


def test_the_vectors_of_padding_and_unknown_are_zero(corpus: TokenCorpus, tmp_path: Path) -> None:
    words = learn(SMALL, corpus, tmp_path / "state")[0].weights["words"]
    assert (words[: len(SPECIAL_WORDS)] == 0).all()


def test_the_gradient_is_that_of_the_loss(corpus: TokenCorpus) -> None:
    """Against PyTorch's automatic differentiation of the same loss, with the window and negatives of one step."""
    import torch
    from torch.nn.functional import logsigmoid

    options = SkipGram(embedding_size=4, window=2, shared_negatives=5, min_count=1, subsample=1.0, buckets=20)
    tables = skipgram._Tables.start(options, corpus, 0)
    tables.arrays["predicted"].normal_(generator=torch.Generator().manual_seed(0))
    documents = corpus.sequences.head(3)
    ((batch, _),) = options._batches(documents, corpus, np.random.default_rng(1))
    read = tables.arrays["read"].clone().requires_grad_()
    predicted = tables.arrays["predicted"].clone().requires_grad_()
    draw = np.random.default_rng(2).random(options.shared_negatives)
    negatives = np.searchsorted(tables._sampling, draw)
    loss, words = torch.zeros(()), batch.words.tolist()
    for i, word in enumerate(words):
        own, *grams = tables._rows[tables._places_of(torch.tensor([word]))].tolist()
        vector = (read[own] + read[grams].mean(0)) / 2
        for j, other in enumerate(words):
            if i != j and abs(i - j) <= batch.reach[i] and batch.documents[i] == batch.documents[j]:
                loss = loss - logsigmoid(vector @ predicted[other])
                loss = loss - logsigmoid(-predicted[negatives] @ vector).sum() * (5 / 5)
    loss.backward()
    found, _ = tables.step(batch, np.random.default_rng(2), lr=0.1)
    assert found == pytest.approx(loss.item(), rel=1e-5)
    assert read.grad is not None and predicted.grad is not None
    np.testing.assert_allclose(tables.arrays["read_sums"], read.grad.square().mean(1), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"pretraining\.epochs=0; accepted: 1 or more"),
        ({"min_ngram": 4, "max_ngram": 3}, r"pretraining\.max_ngram=3; accepted: 4 or more"),
        ({"buckets": -1}, r"pretraining\.buckets=-1; accepted: 0 or more"),
        ({"lr": 0.0}, r"pretraining\.lr=0\.0; accepted: above 0"),
        ({"lr": float("inf")}, r"pretraining\.lr=inf; accepted: above 0"),
        ({"subsample": float("nan")}, r"pretraining\.subsample=nan; accepted: above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SkipGram(**options)  # type: ignore[arg-type]
