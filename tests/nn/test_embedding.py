from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unroll.data.encoding import TokenEncoder
from unroll.data.tokens import PADDING, SPECIAL_WORDS, UNKNOWN, Casing, Spelling, Tokens
from unroll.nn import CharacterCNN, CharacterLSTM
from unroll.nn.characters import CharacterEncoder
from unroll.nn.embedding import PartlyTrained, TokenEmbedding

VOCABULARY = 50
ALPHABET = [*SPECIAL_WORDS, *"abcdef"]
WORDS = ["a", "cab", "Cab", "facade", "fed", "a", "deaf"]
CHARACTERS: dict[str, Callable[[int], CharacterEncoder]] = {
    "cnn": partial(CharacterCNN, embedding_size=3, filters=4),
    "lstm": partial(CharacterLSTM, embedding_size=3, hidden_size=2),
}


def make(word_dropout: float = 0.0, dropout: float = 0.0) -> TokenEmbedding:
    """Vectors of size 1, equal to the id of the word and of the casing."""
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 1, 1, word_dropout=word_dropout, dropout=dropout)
    with torch.no_grad():
        embedding.words.weight[:, 0] = torch.arange(VOCABULARY)
        embedding.casing.weight[:, 0] = torch.arange(len(Casing))
    return embedding


def make_tokens() -> Tokens:
    """100 sequences of 150 known words and 50 steps of padding."""
    torch.manual_seed(0)
    words = torch.randint(2, VOCABULARY, (100, 200))
    casing = torch.randint(1, len(Casing), (100, 200))
    words[:, 150:], casing[:, 150:] = PADDING, Casing.PADDING
    return Tokens(words, casing, torch.full((100,), 150), spelling=None)


def spell(indices: list[list[int]]) -> Tokens:
    """Tokens with their spelling, from indices into WORDS."""
    table = TokenEncoder([*SPECIAL_WORDS, *WORDS], ALPHABET).encode(WORDS)
    rows = np.array(indices) + 1
    return Tokens(
        words=torch.from_numpy(table.words[rows]),
        casing=torch.from_numpy(table.casing[rows]),
        lengths=torch.tensor([len(row) for row in indices]),
        spelling=Spelling(torch.from_numpy(table.spell(np.arange(len(WORDS) + 1))), torch.from_numpy(rows)),
    )


def test_a_token_is_the_vector_of_its_word_and_that_of_its_casing() -> None:
    tokens = make_tokens()
    vectors = make()(tokens)
    assert torch.equal(vectors, torch.stack([tokens.words, tokens.casing], dim=2).float())


@pytest.mark.parametrize("characters", CHARACTERS)
def test_the_character_vector_of_a_token_is_that_of_the_token_alone(characters: str) -> None:
    torch.manual_seed(0)
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, 2, CHARACTERS[characters]).eval()
    assert embedding.characters is not None
    indices = [[3, 1, 0], [6, 3, 2]]
    tokens = spell(indices)

    vectors = embedding(tokens)

    assert vectors.shape == (2, 3, embedding.output_size) == (2, 3, 5 + 2 + 4)
    torch.testing.assert_close(vectors[:, :, :5], embedding.words(tokens.words))
    torch.testing.assert_close(vectors[:, :, 5:7], embedding.casing(tokens.casing))
    for row, step in np.ndindex(2, 3):
        alone = torch.tensor([[ALPHABET.index(c) if c in ALPHABET else UNKNOWN for c in WORDS[indices[row][step]]]])
        torch.testing.assert_close(vectors[row, step, 7:], embedding.characters(alone)[0])


@pytest.mark.parametrize("characters", CHARACTERS)
def test_every_occurrence_of_a_word_trains_its_characters(characters: str) -> None:
    """The gradient of a word that occurs twice is twice that of a word that occurs once."""

    def gradient(indices: list[list[int]]) -> Tensor:
        embedding.zero_grad()
        embedding(spell(indices)).sum().backward()
        return torch.cat([weight.grad.flatten() for weight in embedding.characters.parameters()])

    torch.manual_seed(0)
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, 2, CHARACTERS[characters]).eval()
    once = gradient([[3]])
    assert once.any()
    torch.testing.assert_close(gradient([[3, 3]]), 2 * once)


def test_a_network_that_reads_characters_refuses_tokens_without_spelling() -> None:
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, 2, CHARACTERS["cnn"])
    with pytest.raises(ValueError, match="spelling=None; accepted: a batch made with characters=True"):
        embedding(make_tokens())


def test_output_size_is_the_sum_of_both_and_casing_may_be_left_out() -> None:
    for casing_size in (0, 3):
        embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, casing_size)
        assert embedding.output_size == 5 + casing_size
        assert embedding(make_tokens()).shape == (100, 200, embedding.output_size)


def test_padding_is_a_vector_of_zeros_that_does_not_learn() -> None:
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, 3)
    vectors = embedding(make_tokens())
    assert not vectors[:, 150:].any()
    vectors.sum().backward()
    assert not embedding.words.weight.grad[PADDING].any()
    assert not embedding.casing.weight.grad[Casing.PADDING].any()


def test_word_dropout_turns_its_share_of_words_into_unknown_ones() -> None:
    tokens = make_tokens()
    vectors = make(word_dropout=0.3).train()(tokens)
    dropped = vectors[:, :150, 0] == UNKNOWN
    assert abs(dropped.float().mean() - 0.3) < 0.02  # 15 000 words: five standard deviations
    assert torch.equal(vectors[:, :150, 0][~dropped], tokens.words[:, :150][~dropped].float())


def test_word_dropout_leaves_casing_and_padding_alone() -> None:
    tokens = make_tokens()
    vectors = make(word_dropout=0.9).train()(tokens)
    assert torch.equal(vectors[:, :, 1], tokens.casing.float())
    assert not vectors[:, 150:].any()


def test_word_dropout_leaves_the_spelling_alone() -> None:
    torch.manual_seed(0)
    embedding = TokenEmbedding(VOCABULARY, len(ALPHABET), 5, 2, CHARACTERS["lstm"], word_dropout=0.99)
    tokens = spell([[3, 1, 0, 6]])
    seen, dropped = embedding.eval()(tokens), embedding.train()(tokens)
    assert not torch.equal(seen[:, :, :5], dropped[:, :, :5])
    assert torch.equal(seen[:, :, 7:], dropped[:, :, 7:])


def test_dropout_drops_a_feature_from_the_whole_sequence() -> None:
    vectors = make(dropout=0.5).train()(make_tokens())
    gone = (vectors[:, :150] == 0).all(dim=1)  # (B, F)
    assert gone.any() and not gone.all()
    assert (vectors[:, :150][(~gone)[:, None].expand(-1, 150, -1)] != 0).all()


def test_nothing_is_dropped_in_evaluation() -> None:
    tokens = make_tokens()
    vectors = make(word_dropout=0.9, dropout=0.9).eval()(tokens)
    assert torch.equal(vectors, make()(tokens))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_size": 0, "casing_size": 3}, "embedding_size=0, casing_size=3; accepted: at least 1, at least 0"),
        ({"embedding_size": 4, "casing_size": -1}, "embedding_size=4, casing_size=-1; accepted"),
        ({"embedding_size": 4, "word_dropout": 1.0}, "word_dropout=1.0; accepted: 0 to below 1"),
        ({"embedding_size": 4, "word_dropout": -0.1}, "word_dropout=-0.1; accepted"),
        ({"embedding_size": 4, "dropout": 1.0}, "dropout=1.0; accepted: 0 to below 1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(10, len(ALPHABET), **options)


def test_of_a_partly_trained_embedding_only_the_chosen_words_change() -> None:
    torch.manual_seed(0)
    words = nn.Embedding(VOCABULARY, 3, padding_idx=PADDING)
    before, chosen = words.weight.detach().clone(), torch.tensor([PADDING, UNKNOWN, 7, 20])
    partly = PartlyTrained(words, chosen)
    assert list(partly.state_dict()) == ["weight"]
    every = torch.arange(VOCABULARY)[None]
    assert torch.equal(partly.eval()(every)[0], before)
    used = torch.tensor([[7, 20, UNKNOWN, 7, PADDING]])
    assert torch.equal(partly.train()(used)[0], before[used[0]])
    partly(used).sum().backward()
    assert torch.equal(partly.weight.grad, torch.tensor([[0.0], [1], [2], [1]]).expand(4, 3))
    with torch.no_grad():
        partly.weight += 1
    after, whole = before.clone(), partly.whole()
    after[chosen] += 1
    assert torch.equal(whole.weight, after)
    assert torch.equal(partly.eval()(every)[0], after)
    assert (whole.padding_idx, whole.weight.requires_grad, type(whole)) == (PADDING, True, nn.Embedding)


def test_a_partly_trained_embedding_moves_as_a_whole() -> None:
    partly = PartlyTrained(nn.Embedding(VOCABULARY, 3), torch.tensor([PADDING, UNKNOWN])).double()
    assert partly.eval()(torch.tensor([[UNKNOWN, 5]])).dtype == torch.float64
    assert partly.to("meta")(torch.tensor([[UNKNOWN, 5]], device="meta")).is_meta
