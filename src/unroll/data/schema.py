"""What a dataset is to a model: its task, its labels, and how its text becomes numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import Task
from unroll.files import read_json, write_json


@dataclass(frozen=True, eq=False)
class DataSchema:
    """All that a model has to know of the data that it was, or will be, trained on.

    Args:
        task: `classification`, `multilabel` or `labeling`.
        label_names: by label id; IOB2 tags for labeling.
        vocabulary: words by id, special words first.
        alphabet: characters by id, special entries first.
        tokenizer: splits a text into tokens, and maps a token to its word in the vocabulary.
        is_pair: whether an example is a pair of texts.
    """

    task: Task
    label_names: list[str]
    vocabulary: list[str]
    alphabet: list[str]
    tokenizer: Tokenizer
    is_pair: bool

    def save(self, folder: Path) -> dict[str, Any]:
        """Write vocabulary.json, alphabet.json and the tokenizer into `folder`; return the rest, fit for JSON."""
        write_json(folder / "vocabulary.json", self.vocabulary)
        write_json(folder / "alphabet.json", self.alphabet)
        self.tokenizer.save(folder)
        return {"task": self.task, "is_pair": self.is_pair, "label_names": self.label_names}

    @classmethod
    def load(cls, folder: Path, rest: dict[str, Any]) -> "DataSchema":
        """Read what `save` wrote; `rest` is what it returned, and may hold other keys."""
        return cls(
            task=rest["task"],
            label_names=rest["label_names"],
            vocabulary=read_json(folder / "vocabulary.json"),
            alphabet=read_json(folder / "alphabet.json"),
            tokenizer=Tokenizer.load(folder),
            is_pair=rest["is_pair"],
        )

    def differences(self, other: "DataSchema") -> list[str]:
        """The names of what is not the same in both, in words; empty for equal schemas."""
        mine, theirs = self._comparable(), other._comparable()
        return [name for name in mine if mine[name] != theirs[name]]

    def _comparable(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "labels": self.label_names,
            "vocabulary": self.vocabulary,
            "alphabet": self.alphabet,
            "tokenizer": self.tokenizer.options,
            "pairs of texts": self.is_pair,
        }
