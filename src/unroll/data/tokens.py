"""Definitions that batches and networks share: the task, special ids, and the arrays of a batch."""

from enum import IntEnum
from typing import Generic, Literal, NamedTuple, TypeVar

Array = TypeVar("Array")  # a NumPy array, or a tensor for PyTorch's networks

DeclaredTask = Literal["classification", "labeling", "multilabel"]  # in conf/dataset
Task = Literal["classification", "labeling", "multilabel", "tagging"]  # tagging: labeling with plain tags
TOKEN_TASKS: tuple[Task, ...] = ("labeling", "tagging")  # with one label per token
SEQUENCE_TASKS: tuple[Task, ...] = ("classification", "multilabel")  # with labels of the whole text

TEXT, PAIR, TOKENS = "text", "text_pair", "tokens"  # names of columns and keys

PADDING = 0  # id of the padding word and character, and row 0 of a TokenTable
UNKNOWN = 1  # id of words and characters that are missing from the vocabulary
SPECIAL_WORDS = ["<pad>", "<unk>"]
IGNORE = -100  # label of padding, the default `ignore_index` of PyTorch's losses


class Casing(IntEnum):
    """Capitalisation of a token, which its lower-cased word does not show (Collobert et al. 2011, section 6.1)."""

    PADDING = 0
    LOWER = 1
    CAPITALISED = 2
    UPPER = 3
    MIXED = 4
    DIGITS = 5
    OTHER = 6


class Spelling(NamedTuple, Generic[Array]):
    """Character ids (U, C) of distinct tokens, padded on the right, and the row of each token of a batch (B, T)."""

    characters: Array
    rows: Array


class Tokens(NamedTuple, Generic[Array]):
    """Input of a network: B sequences, padded on the right to T tokens.

    `words` are ids and `casing` values of `Casing`, (B, T) each; `lengths` (B,) are numbers of tokens; `spelling` is
    None for a network that does not read characters.
    """

    words: Array
    casing: Array
    lengths: Array
    spelling: Spelling[Array] | None


class Posterior(NamedTuple, Generic[Array]):
    """The distribution of the labels of B sequences.

    `probabilities` are those of each label, (B, L) or, for labels of tokens, (B, T, L). Where the labels of tokens
    depend on each other they are a Markov chain: p(yᵢ₊₁ = y | yᵢ = x) is the softmax over y of transitions[x, y] +
    followingᵢ₊₁[y], with `transitions` (L, L) and `following` (B, T, L). Both are None for independent labels.
    """

    probabilities: Array
    following: Array | None = None
    transitions: Array | None = None
