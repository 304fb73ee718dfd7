"""Predict labels from text with a trained model, in Python and in MLflow's server."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.schema import DataSchema
from unroll.data.tags import spans
from unroll.data.tokens import Task
from unroll.inference.trained_model import TrainedModel


class Predictor:
    """Predicts the labels of texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained, self._schema = trained, trained.schema
        self._encoder = TokenEncoder.of(trained.schema)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Load the model folder that a training wrote; raises ValueError if there is none."""
        return cls(TrainedModel.load(folder))

    def predict(self, texts: Sequence[str | Sequence[str]], batch_size: int = 64) -> list[dict[str, Any]]:
        """Predict one dictionary per text, in the order of the texts.

        - Classification: `label` and its `probability`.
        - Multilabel: `labels`, those with a probability above 0.5, the most probable first; and `probabilities`, a
          dictionary from each label to its probability.
        - Labeling: `tokens`; `labels`, one per token; and `entities`, each with its `type`, its first token `start`,
          the token after its last `end`, and `text`, the characters `start_char` to `end_char` (exclusive).
        - Tagging (labeling with plain tags): `tokens`, and `labels`, one per token.

        Args:
            texts: strings; or pairs of strings for a model that was trained on pairs.

        Raises:
            ValueError: `texts` is not a list, array or series; or a text has no token, or is not a pair although the
                model reads pairs, or the reverse.
        """
        if isinstance(texts, str | bytes | Mapping) or getattr(texts, "ndim", 1) != 1:
            raise ValueError(f"texts is a {type(texts).__name__}; accepted: a list of texts")
        texts = list(texts)
        tokens = [self._tokenize(text, position) for position, text in enumerate(texts)]
        if not texts:
            return []
        predictions = self._trained.predict(self._encode(tokens), batch_size)
        describe = _DESCRIPTIONS[self._schema.task]
        return [describe(self._schema, *result) for result in zip(predictions, tokens, texts, strict=True)]

    def _tokenize(self, text: str | Sequence[str], position: int) -> list[str]:
        parts = text if self._schema.is_pair and isinstance(text, list | tuple) else (text,)
        if len(parts) != 1 + self._schema.is_pair or not all(isinstance(part, str) for part in parts):
            accepted = "a pair of texts" if self._schema.is_pair else "a text"
            raise ValueError(f"text {position} is {text!r}; accepted by this model: {accepted}")
        tokens = self._schema.tokenizer.tokenize(*parts)
        if not tokens:
            raise ValueError(f"text {position} is empty: {text!r}; accepted: text with at least one token")
        return tokens

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


def _describe_label(schema: DataSchema, prediction: Prediction, tokens: list[str], text: Any) -> dict[str, Any]:
    best = int(prediction.labels)
    return {"label": schema.label_names[best], "probability": float(prediction.probabilities[best])}


def _describe_label_set(schema: DataSchema, prediction: Prediction, tokens: list[str], text: Any) -> dict[str, Any]:
    by_name = dict(zip(schema.label_names, prediction.probabilities.tolist(), strict=True))
    predicted = [name for name, is_predicted in zip(by_name, prediction.labels, strict=True) if is_predicted]
    return {"labels": sorted(predicted, key=by_name.__getitem__, reverse=True), "probabilities": by_name}


def _describe_tags(schema: DataSchema, prediction: Prediction, tokens: list[str], text: Any) -> dict[str, Any]:
    return {"tokens": tokens, "labels": [schema.label_names[label] for label in prediction.labels]}


def _describe_entities(schema: DataSchema, prediction: Prediction, tokens: list[str], text: Any) -> dict[str, Any]:
    described = _describe_tags(schema, prediction, tokens, text)
    offsets = schema.tokenizer.offsets(text)
    entities = []
    for span in spans(described["labels"]):
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        entity = {"type": span.type, "text": text[start:end], "start": span.start, "end": span.end}
        entities.append(entity | {"start_char": start, "end_char": end})
    return described | {"entities": entities}


_DESCRIPTIONS: dict[Task, Callable[[DataSchema, Prediction, list[str], Any], dict[str, Any]]] = {
    "classification": _describe_label,
    "multilabel": _describe_label_set,
    "labeling": _describe_entities,
    "tagging": _describe_tags,
}
