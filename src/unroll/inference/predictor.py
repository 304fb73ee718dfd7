"""Predict labels from text with a trained model, in Python and in MLflow's server."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from unroll.checks import check_choice
from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.tags import spans
from unroll.data.text import is_visible
from unroll.data.tokens import TOKEN_TASKS, Task
from unroll.inference.trained_model import TrainedModel

log = logging.getLogger("unroll")
_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, Set)


class Predictor:
    """Predicts the labels of texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained, self._schema = trained, trained.schema
        self._encoder = TokenEncoder.of(trained.schema)
        self._has_warned = False

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Load the model folder that a training wrote; raises ValueError if there is none."""
        return cls(TrainedModel.load(folder))

    def predict(
        self,
        texts: Sequence[str | Sequence[str]],
        batch_size: int = 64,
        errors: Literal["raise", "coerce"] = "raise",
    ) -> list[dict[str, Any]]:
        """Predict one dictionary per text, in the order of the texts.

        - Classification: `label` and its `probability`.
        - Multilabel: `labels`, those with a probability above 0.5, the most probable first; and `probabilities`, a
          dictionary from each label to its probability.
        - Labeling: `tokens`; `labels`, one per token; and `entities`, each with its `type`, its first token `start`,
          the token after its last `end`, and `text`, the characters `start_char` to `end_char` (exclusive) of the
          text, or of the tokens joined by spaces.
        - Tagging (labeling with plain tags): `tokens`, and `labels`, one per token.

        Args:
            texts: strings; pairs of strings for a model that was trained on pairs; or, for labeling and for a model
                that was trained on given tokens, lists of tokens, which are labelled as they are.
            errors: what to do with a text that cannot be used, such as None or a text without tokens: `raise` an error,
                or `coerce` its values in the answer to None, as pandas does.

        Raises:
            ValueError: `texts` is not a list, array or series; or with `raise`, a text has no token, or is not a pair
                although the model reads pairs, or the reverse.
        """
        texts = texts.to_pylist() if hasattr(texts, "to_pylist") else texts  # of Arrow, whose values are no strings
        is_list = isinstance(texts, Iterable) and not isinstance(texts, _NO_LISTS)
        if not is_list or getattr(texts, "ndim", 1) != 1:
            raise ValueError(f"texts is a {type(texts).__name__}; accepted: a list of texts, or a column of a table")
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}; accepted: 1 or more")
        check_choice("errors", errors, ("raise", "coerce"))
        inputs: dict[int, _Input] = {}
        length = 0
        for length, text in enumerate(texts, start=1):
            try:
                inputs[length - 1] = self._read(text, length - 1)
            except ValueError:
                if errors == "raise":
                    raise
        answer, keys = _ANSWERS[self._schema.task]
        found = [dict.fromkeys(keys) for _ in range(length)]
        if inputs:
            predictions = self._trained.predict(self._encode([it.tokens for it in inputs.values()]), batch_size)
            for position, prediction in zip(inputs, predictions, strict=True):
                found[position] = answer(self._schema, prediction, inputs[position])
        return found

    def _read(self, text: Any, position: int) -> "_Input":
        tokenizer, is_pair = self._schema.tokenizer, self._schema.is_pair
        takes_tokens = self._schema.given_tokens or self._schema.task in TOKEN_TASKS
        if takes_tokens and isinstance(text, list | tuple | np.ndarray):
            words = text.tolist() if isinstance(text, np.ndarray) else list(text)
            if not all(isinstance(word, str) and word for word in words) or not any(map(is_visible, words)):
                accepted = "accepted as tokens: one or more strings, none empty"
                raise ValueError(f"text {position} is {_shown(text)}; {accepted}")
            pieces = [tokenizer.pieces(tokenizer.normalize(word)) for word in words]
            starts = list(accumulate(map(len, pieces[:-1]), initial=0))
            return _Input([piece for of_word in pieces for piece in of_word], " ".join(words), words, starts)
        parts = text if is_pair and isinstance(text, list | tuple) else (text,)
        if len(parts) != 1 + is_pair or not all(isinstance(part, str) for part in parts):
            accepted = "a pair of texts" if is_pair else "a text or a list of tokens" if takes_tokens else "a text"
            raise ValueError(f"text {position} is {_shown(text)}; accepted by this model: {accepted}")
        tokens = tokenizer.tokenize(*parts)
        if not tokens:
            raise ValueError(f"text {position} is empty: {_shown(text)}; accepted: text with at least one token")
        if self._schema.given_tokens and not self._has_warned:
            self._has_warned = True
            log.warning(
                "this model was trained on given tokens: texts are divided by the tokenizer %r, which may find other "
                "tokens; pass lists of tokens to have them labelled as they are",
                tokenizer.options.split,
            )
        return _Input(tokens, parts[0])

    def _encode(self, tokens: list[list[str]]) -> EncodedSplit:
        distinct = DistinctTokens()
        rows = np.concatenate([distinct.ids(sequence) for sequence in tokens])
        return EncodedSplit(
            task=self._schema.task,
            table=self._encoder.encode(distinct),
            sequences=Ragged.from_lengths(rows, [len(sequence) for sequence in tokens]),
            labels=np.zeros(len(rows), np.int64),  # not used; long enough for any task
            rows=np.arange(len(tokens)),
        )


class _Input(NamedTuple):
    """A text and the tokens that the model reads; given tokens, and the position of the first that is read of each."""

    tokens: list[str]
    text: str
    words: list[str] | None = None
    starts: list[int] | None = None


def _shown(text: Any) -> str:
    """A text as one short line, for messages."""
    lines = repr(text).splitlines()
    line = " ".join(" ".join(lines).split()) if len(lines) > 1 else lines[0]
    return f"{line[:80]}…" if len(line) > 80 else line


def _label(schema: DataSchema, prediction: Prediction, _: _Input) -> dict[str, Any]:
    best = int(prediction.labels)
    return {"label": schema.label_names[best], "probability": float(prediction.probabilities[best])}


def _label_set(schema: DataSchema, prediction: Prediction, _: _Input) -> dict[str, Any]:
    by_name = dict(zip(schema.label_names, prediction.probabilities.tolist(), strict=True))
    predicted = [name for name, is_predicted in zip(by_name, prediction.labels, strict=True) if is_predicted]
    return {"labels": sorted(predicted, key=by_name.__getitem__, reverse=True), "probabilities": by_name}


def _tags(schema: DataSchema, prediction: Prediction, found: _Input) -> dict[str, Any]:
    labels = [schema.label_names[label] for label in prediction.labels]
    if found.words is None or found.starts is None:
        return {"tokens": found.tokens, "labels": labels}
    return {"tokens": found.words, "labels": [labels[start] for start in found.starts]}


def _entities(schema: DataSchema, prediction: Prediction, found: _Input) -> dict[str, Any]:
    answer = _tags(schema, prediction, found)
    if found.words is None:
        offsets = schema.tokenizer.offsets(found.text)
    else:
        ends = list(accumulate(len(word) + 1 for word in found.words))
        offsets = [(end - len(word) - 1, end - 1) for word, end in zip(found.words, ends, strict=True)]
    entities = []
    for span in spans(answer["labels"]):
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        entity = {"type": span.type, "text": found.text[start:end], "start": span.start, "end": span.end}
        entities.append(entity | {"start_char": start, "end_char": end})
    return answer | {"entities": entities}


# The answer for a text, and its keys.
_ANSWERS: dict[Task, tuple[Callable[[DataSchema, Prediction, _Input], dict[str, Any]], tuple[str, ...]]] = {
    "classification": (_label, ("label", "probability")),
    "multilabel": (_label_set, ("labels", "probabilities")),
    "labeling": (_entities, ("tokens", "labels", "entities")),
    "tagging": (_tags, ("tokens", "labels")),
}
