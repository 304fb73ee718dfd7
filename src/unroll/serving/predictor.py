"""The one way from text to labels; everything that serves a model calls it."""

from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import TokenEncoder
from unroll.data.prepared import EncodedSplit
from unroll.data.tags import spans
from unroll.data.text import tokenize
from unroll.training.inference import label_probabilities
from unroll.training.model_folder import ModelFolder


class Predictor:
    """Labels texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    def __init__(self, trained: ModelFolder) -> None:
        self._trained = trained
        self._encoder = TokenEncoder(trained.vocabulary)

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        return cls(ModelFolder.load(folder))

    def predict(self, texts: list[str], batch_size: int = 64) -> list[dict[str, Any]]:
        """One dictionary a text, in order.

        Classification: `label` and its `probability`. Labeling: `tokens`, `labels` one a token, and `entities`, each
        with `type`, `text` and the tokens' `start` and `end` (exclusive).

        Raises:
            ValueError: a text holds no token.
        """
        tokens = [tokenize(text) for text in texts]
        for position, found in enumerate(tokens):
            if not found:
                raise ValueError(
                    f"text {position} is empty: {texts[position]!r}; accepted: text with at least one token"
                )
        if not texts:
            return []
        probabilities = label_probabilities(self._trained.model, self._encode(tokens), batch_size)
        if self._trained.task == "classification":
            return [self._describe_label(row) for row in probabilities]
        return [self._describe_entities(row, words) for row, words in zip(probabilities, tokens, strict=True)]

    def _encode(self, tokens: list[list[str]]) -> EncodedSplit:
        words, casing = self._encoder.encode(token for sequence in tokens for token in sequence)
        lengths = [len(sequence) for sequence in tokens]
        return EncodedSplit(
            task=self._trained.task,
            words=words,
            casing=casing,
            labels=np.zeros(len(words) if self._trained.task == "labeling" else len(tokens), np.int64),
            offsets=np.cumsum([0, *lengths]),
            rows=np.arange(len(tokens)),
        )

    def _describe_label(self, probabilities: np.ndarray) -> dict[str, Any]:
        best = int(probabilities.argmax())
        return {"label": self._trained.label_names[best], "probability": float(probabilities[best])}

    def _describe_entities(self, probabilities: np.ndarray, tokens: list[str]) -> dict[str, Any]:
        labels = [self._trained.label_names[i] for i in probabilities.argmax(axis=1)]
        entities = [
            {
                "type": span.type,
                "text": " ".join(tokens[span.start : span.end]),
                "start": span.start,
                "end": span.end,
            }
            for span in spans(labels)
        ]
        return {"tokens": tokens, "labels": labels, "entities": entities}
