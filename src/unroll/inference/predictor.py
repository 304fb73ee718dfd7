"""The one way from text to labels; everything that serves a model calls it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.ragged import Ragged
from unroll.data.schema import Task
from unroll.data.tags import spans
from unroll.inference.model_folder import ModelFolder
from unroll.inference.predict import predict


class Predictor:
    """Labels texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    def __init__(self, trained: ModelFolder) -> None:
        self._model, self._schema = trained.model, trained.schema
        self._encoder = TokenEncoder.of(trained.schema)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        return cls(ModelFolder.load(folder))

    def predict(self, texts: Sequence[str | Sequence[str]], batch_size: int = 64) -> list[dict[str, Any]]:
        """One dictionary a text, in order; where the model was trained on pairs, a pair of texts for each.

        Classification: `label` and its `probability`. Multilabel: `labels`, those of a probability above 0.5, the most
        probable first, and `probabilities`, every label's by its name. Labeling: `tokens`, `labels` one a token, and
        `entities`, each with `type`, the tokens' `start` and `end` (exclusive), and `text`, which is cut out of the
        text given from character `start_char` to `end_char` (exclusive).

        Raises:
            ValueError: a text holds no token, or is no pair where the model reads pairs.
        """
        tokens = [self._tokenize(text, position) for position, text in enumerate(texts)]
        if not texts:
            return []
        answers = predict(self._model, self._encode(tokens), batch_size)
        if self._schema.task == "labeling":
            return [
                self._describe_entities(found, words, text)
                for found, words, text in zip(answers, tokens, map(str, texts), strict=True)
            ]
        describe = self._describe_label if self._schema.task == "classification" else self._describe_labels
        return [describe(found) for found in answers]

    def _tokenize(self, text: str | Sequence[str], position: int) -> list[str]:
        is_pair = not isinstance(text, str)
        if is_pair != self._schema.is_pair or (is_pair and len(text) != 2):
            accepted = "a pair of texts" if self._schema.is_pair else "a text"
            raise ValueError(f"text {position} is {text!r}; accepted by this model: {accepted}")
        tokens = self._schema.tokenizer.tokenize(*([text] if isinstance(text, str) else text))
        if not tokens:
            raise ValueError(f"text {position} is empty: {text!r}; accepted: text with at least one token")
        return tokens

    def _encode(self, tokens: list[list[str]]) -> EncodedSplit:
        distinct = DistinctTokens()
        rows = np.concatenate([distinct.ids(sequence) for sequence in tokens])
        lengths = [len(sequence) for sequence in tokens]
        label_shapes: dict[Task, tuple[int, ...]] = {
            "classification": (len(tokens),),
            "labeling": (len(rows),),
            "multilabel": (len(tokens), len(self._schema.label_names)),
        }
        return EncodedSplit(
            task=self._schema.task,
            table=self._encoder.encode(distinct),
            sequences=Ragged.from_lengths(rows, lengths),
            labels=np.zeros(label_shapes[self._schema.task], np.int64),  # unknown, and not looked at
            rows=np.arange(len(tokens)),
        )

    def _describe_label(self, found: Prediction) -> dict[str, Any]:
        best = int(found.labels)
        return {"label": self._schema.label_names[best], "probability": float(found.probabilities[best])}

    def _describe_labels(self, found: Prediction) -> dict[str, Any]:
        by_name = dict(zip(self._schema.label_names, found.probabilities.tolist(), strict=True))
        given = [name for name, is_given in zip(by_name, found.labels, strict=True) if is_given]
        return {"labels": sorted(given, key=by_name.__getitem__, reverse=True), "probabilities": by_name}

    def _describe_entities(self, found: Prediction, tokens: list[str], text: str) -> dict[str, Any]:
        labels = [self._schema.label_names[i] for i in found.labels]
        offsets = self._schema.tokenizer.offsets(text)
        entities = []
        for span in spans(labels):
            start, end = offsets[span.start][0], offsets[span.end - 1][1]
            entities.append(
                {
                    "type": span.type,
                    "text": text[start:end],
                    "start": span.start,
                    "end": span.end,
                    "start_char": start,
                    "end_char": end,
                }
            )
        return {"tokens": tokens, "labels": labels, "entities": entities}
