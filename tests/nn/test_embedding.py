import pytest
import torch
from torch import Tensor

from unroll.data.encoding import PADDING, UNKNOWN
from unroll.data.text import Casing
from unroll.nn.embedding import TokenEmbedding

VOCABULARY = 50


def make(word_dropout: float = 0.0, dropout: float = 0.0) -> TokenEmbedding:
    """The one number of a word's vector is the word's id, that of a casing's is its id too."""
    embedding = TokenEmbedding(VOCABULARY, 1, 1, word_dropout, dropout)
    with torch.no_grad():
        embedding.words.weight[:, 0] = torch.arange(VOCABULARY)
        embedding.casing.weight[:, 0] = torch.arange(len(Casing))
    return embedding


def make_tokens() -> tuple[Tensor, Tensor]:
    """100 sequences of 150 known words and 50 steps of padding."""
    torch.manual_seed(0)
    words = torch.randint(2, VOCABULARY, (100, 200))
    casing = torch.randint(1, len(Casing), (100, 200))
    words[:, 150:], casing[:, 150:] = PADDING, Casing.PADDING
    return words, casing


def test_a_token_is_its_word_next_to_its_casing() -> None:
    words, casing = make_tokens()
    vectors = make()(words, casing)
    assert torch.equal(vectors, torch.stack([words, casing], dim=2).float())


def test_output_size_is_the_sum_of_both_and_casing_may_be_left_out() -> None:
    words, casing = make_tokens()
    for casing_size in (0, 3):
        embedding = TokenEmbedding(VOCABULARY, 5, casing_size, 0.0, 0.0)
        assert embedding.output_size == 5 + casing_size
        assert embedding(words, casing).shape == (100, 200, embedding.output_size)


def test_padding_is_a_vector_of_zeros_that_does_not_learn() -> None:
    embedding = TokenEmbedding(VOCABULARY, 5, 3, 0.0, 0.0)
    words, casing = make_tokens()
    vectors = embedding(words, casing)
    assert not vectors[:, 150:].any()
    vectors.sum().backward()
    assert not embedding.words.weight.grad[PADDING].any()
    assert not embedding.casing.weight.grad[Casing.PADDING].any()


def test_word_dropout_turns_its_share_of_words_into_unknown_ones() -> None:
    words, casing = make_tokens()
    vectors = make(word_dropout=0.3).train()(words, casing)
    dropped = vectors[:, :150, 0] == UNKNOWN
    assert abs(dropped.float().mean() - 0.3) < 0.02  # 15 000 words: five standard deviations
    assert torch.equal(vectors[:, :150, 0][~dropped], words[:, :150][~dropped].float())


def test_word_dropout_leaves_casing_and_padding_alone() -> None:
    words, casing = make_tokens()
    vectors = make(word_dropout=0.9).train()(words, casing)
    assert torch.equal(vectors[:, :, 1], casing.float())
    assert not vectors[:, 150:].any()


def test_nothing_is_dropped_in_evaluation() -> None:
    words, casing = make_tokens()
    vectors = make(word_dropout=0.9, dropout=0.9).eval()(words, casing)
    assert torch.equal(vectors, make()(words, casing))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 0, 3, 0.0, 0.0), "embedding_size=0, casing_size=3; accepted: at least 1, at least 0"),
        ((10, 4, -1, 0.0, 0.0), "embedding_size=4, casing_size=-1; accepted"),
        ((10, 4, 3, 1.0, 0.0), "word_dropout=1.0; accepted: 0 to below 1"),
        ((10, 4, 3, -0.1, 0.0), "word_dropout=-0.1; accepted"),
    ],
)
def test_values_out_of_range_are_refused(arguments: tuple[int, int, int, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(*arguments)
