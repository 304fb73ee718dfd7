"""The interface between a dataset and a model: task, labels, vocabularies and tokenizer."""

from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import PAIR, TEXT, TOKEN_TASKS, TOKENS, Task
from unroll.files import read_json, write_json


@dataclass(frozen=True, eq=False)
class DataSchema:
    """The properties of a dataset that a model depends on.

    Args:
        task: `classification`, `multilabel`, `labeling` (entities) or `tagging` (plain tags).
        label_names: the labels by id; IOB2 tags for labeling.
        vocabulary: the words by id, special words first.
        alphabet: the characters by id, special entries first.
        tokenizer: splits texts into tokens and maps tokens to words of the vocabulary.
        is_pair: whether an example is a pair of texts.
        given_tokens: whether the examples were given as tokens, which `tokenizer` may not find again in their text;
            unknown of data and models that were made before this was recorded.
    """

    task: Task
    label_names: list[str]
    vocabulary: list[str]
    alphabet: list[str]
    tokenizer: Tokenizer
    is_pair: bool
    given_tokens: bool = False

    FILES: ClassVar = ("vocabulary.json", "alphabet.json", *Tokenizer.FILES)

    @property
    def takes_tokens(self) -> bool:
        """Whether a text may be given as the list of its tokens."""
        return self.given_tokens or self.task in TOKEN_TASKS

    def text_columns(self, given: Collection[str]) -> tuple[str, ...]:
        """Which of the given columns (or keys) are the text: `tokens`; `text`; or `text` and `text_pair`.

        Args:
            given: the names; without `tokens`, if it does not contain lists.

        Raises:
            ValueError: they are not among them.
        """
        if self.takes_tokens and TOKENS in given:
            return (TOKENS,)
        columns = (TEXT, PAIR) if self.is_pair else (TEXT,)
        if not set(columns) <= set(given):
            accepted = " and ".join(columns) + f" or {TOKENS}" * self.takes_tokens
            raise ValueError(f"columns {', '.join(map(str, given)) or '(none)'}; accepted: {accepted}")
        return columns

    def save(self, folder: Path) -> dict[str, Any]:
        """Write vocabulary.json, alphabet.json and the tokenizer; return the other fields as JSON values."""
        write_json(folder / "vocabulary.json", self.vocabulary)
        write_json(folder / "alphabet.json", self.alphabet)
        self.tokenizer.save(folder)
        return {name: getattr(self, name) for name in ("task", "is_pair", "given_tokens", "label_names")}

    @classmethod
    def load(cls, folder: Path, rest: dict[str, Any]) -> "DataSchema":
        """Read the files written by `save`; `rest` contains the values that it returned, and may have other keys.

        Raises:
            ValueError: a file is damaged, or names are no list of distinct texts.
        """
        lists = {it: read_json(folder / f"{it}.json") for it in ("vocabulary", "alphabet")}
        for name, entries in {**lists, "label_names": rest["label_names"]}.items():
            if not isinstance(entries, list) or not entries or not all(isinstance(it, str) for it in entries):
                raise ValueError(f"{name} is not a list of one or more texts")
            if len(set(entries)) < len(entries):
                raise ValueError(f"{name} has the same text twice")
        return cls(
            task=rest["task"],
            label_names=rest["label_names"],
            **lists,
            tokenizer=Tokenizer.load(folder),
            is_pair=rest["is_pair"],
            given_tokens=rest.get("given_tokens", False),
        )

    def differences(self, data: "DataSchema") -> list[str]:
        """The names of the fields of this schema, a model's, that differ from those of `data`, for messages.

        Empty if the model can read the data, as they are or as `PreparedData.joined` gives them: the vocabulary of a
        model that began with pretrained weights has their words after those of the data.
        """
        fields = {
            "task": "task",
            "labels": "label_names",
            "alphabet": "alphabet",
            "tokenizer": "tokenizer.options",
            "pairs of texts": "is_pair",
        }
        differing = [shown for shown, field in fields.items() if attrgetter(field)(self) != attrgetter(field)(data)]
        if self.vocabulary[: len(data.vocabulary)] != data.vocabulary:
            differing.append("vocabulary")
        return differing
