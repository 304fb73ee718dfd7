from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from unroll.data.batches import collate
from unroll.data.encoding import TokenEncoder
from unroll.data.padding import Batch
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.tokens import SPECIAL_WORDS, Task
from unroll.nn import GRU, LSTM, CharacterCNN, CharacterLSTM, Elman, FeedForwardEncoder, RecurrentEncoder, SequenceModel
from unroll.nn.encoder import Encoder
from unroll.nn.heads import LABELING_HEADS, SEQUENCE_HEADS
from unroll.nn.pooling import Pooling

WORDS = ["tern", "Tern", "rents", "nest", "sent", "stern", "ne"]
VOCABULARY = [*SPECIAL_WORDS, *WORDS[2:]]
ALPHABET = [*SPECIAL_WORDS, *"ensrt"]
TAGS = ["O", "B-X", "I-X"]
LENGTHS = [4, 1, 7]

ENCODERS: dict[str, Callable[[int, int], Encoder]] = {
    "fcnn": FeedForwardEncoder,
    "elman": partial(RecurrentEncoder, cell=partial(Elman, activation="sigmoid")),
    "gru": partial(RecurrentEncoder, cell=GRU, num_layers=2),
    "bilstm": partial(RecurrentEncoder, cell=LSTM, bidirectional=True),
}
CHARACTERS = {
    "no characters": None,
    "character cnn": partial(CharacterCNN, embedding_size=4, filters=3),
    "character lstm": partial(CharacterLSTM, embedding_size=4, hidden_size=3),
}
each_encoder = pytest.mark.parametrize("encoder", ENCODERS)
each_character_encoder = pytest.mark.parametrize("characters", CHARACTERS)


def make(task: Task, encoder: str = "bilstm", characters: str = "character cnn", **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(
        len(VOCABULARY),
        len(ALPHABET),
        TAGS,
        task,
        ENCODERS[encoder],
        embedding_size=6,
        casing_size=2,
        characters=CHARACTERS[characters],
        hidden_size=5,
        **options,
    )


def make_batch(task: Task, lengths: list[int], rows: list[int] | None = None) -> Batch[Tensor]:
    """A batch of the sequences `rows`, or of all."""
    draw = np.random.default_rng(0)
    tokens = draw.integers(1, len(WORDS) + 1, sum(lengths))
    labels = {
        "classification": np.zeros(len(lengths), np.int64),
        "labeling": np.zeros(len(tokens), np.int64),
        "multilabel": np.zeros((len(lengths), len(TAGS)), bool),
    }
    split = EncodedSplit(
        task=task,
        table=TokenEncoder(VOCABULARY, ALPHABET).encode(WORDS),
        sequences=Ragged.from_lengths(tokens, lengths),
        labels=labels[task],
        rows=np.arange(len(lengths)),
    )
    return collate(split, np.array(rows or range(len(lengths))), characters=True)


@pytest.mark.parametrize("task", SEQUENCE_HEADS)
@each_encoder
@each_character_encoder
def test_sequence_tasks_have_one_row_of_scores_per_sequence(task: Task, encoder: str, characters: str) -> None:
    batch = make_batch(task, LENGTHS)
    assert make(task, encoder, characters)(batch.tokens).shape == (3, 3)


@each_encoder
@each_character_encoder
def test_labeling_has_one_row_of_scores_per_token(encoder: str, characters: str) -> None:
    batch = make_batch("labeling", LENGTHS)
    assert make("labeling", encoder, characters)(batch.tokens).shape == (3, 7, 3)


@pytest.mark.parametrize("pooling", get_args(Pooling))
@each_encoder
@each_character_encoder
def test_classification_scores_do_not_depend_on_the_batch(encoder: str, characters: str, pooling: Pooling) -> None:
    model = make("classification", encoder, characters, pooling=pooling).eval()
    together = model(make_batch("classification", LENGTHS).tokens)
    for i in range(len(LENGTHS)):
        alone = model(make_batch("classification", LENGTHS, [i]).tokens)
        torch.testing.assert_close(together[i], alone[0], atol=1e-5, rtol=0)


@each_encoder
@each_character_encoder
def test_labeling_scores_do_not_depend_on_the_batch(encoder: str, characters: str) -> None:
    model = make("labeling", encoder, characters).eval()
    together = model(make_batch("labeling", LENGTHS).tokens)
    for i, length in enumerate(LENGTHS):
        alone = model(make_batch("labeling", LENGTHS, [i]).tokens)
        torch.testing.assert_close(together[i, :length], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("task", "head"), [*((task, "crf") for task in SEQUENCE_HEADS), *(("labeling", head) for head in LABELING_HEADS)]
)
@each_character_encoder
def test_every_parameter_learns(task: Task, head: str, characters: str) -> None:
    model = make(task, characters=characters, head=head)
    batch = make_batch(task, LENGTHS)
    model.head.loss(model(batch.tokens), batch.labels, batch.tokens.lengths).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@each_character_encoder
def test_reads_characters_is_whether_the_model_has_a_character_encoder(characters: str) -> None:
    assert make("labeling", characters=characters).reads_characters == (characters != "no characters")


def test_scores_depend_on_the_spelling_only_if_the_model_reads_characters() -> None:
    words = make_batch("labeling", LENGTHS).tokens
    assert words.spelling is not None
    other = words._replace(spelling=words.spelling._replace(characters=words.spelling.characters.flip(0)))
    for characters, model in {name: make("labeling", characters=name).eval() for name in CHARACTERS}.items():
        assert torch.equal(model(words), model(other)) == (characters == "no characters")


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="head='argmax'; accepted: softmax, crf, constrained_crf"):
        make("labeling", head="argmax")
