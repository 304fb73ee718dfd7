"""What `Predictor.predict` returns for a text, for each task."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np

from unroll.data.predictions import Prediction
from unroll.data.schema import DataSchema
from unroll.data.tags import spans
from unroll.data.tokens import Task
from unroll.inference.entities import entity_probability
from unroll.inference.inputs import TextInput

Answer = dict[str, Any]


def make_answer(schema: DataSchema, prediction: Prediction, source: TextInput, probabilities: bool) -> Answer:
    """The answer for a text; see `Predictor.predict`."""
    return _ANSWERS[schema.task][0](schema, prediction, source, probabilities)


def empty_answer(task: Task, probabilities: bool) -> Answer:
    """The answer for a text that cannot be used: every value is None."""
    keys = _ANSWERS[task][1]
    return dict.fromkeys((*keys, "probabilities") if probabilities else keys)


def is_empty(answer: Answer) -> bool:
    """Whether it is an `empty_answer`."""
    return all(value is None for value in answer.values())


def _label(schema: DataSchema, prediction: Prediction, _: TextInput, probabilities: bool) -> Answer:
    best = int(prediction.labels)
    answer = {"label": schema.label_names[best], "probability": float(prediction.probabilities[best])}
    return answer | {"probabilities": _by_name(schema, prediction)} if probabilities else answer


def _label_set(schema: DataSchema, prediction: Prediction, _: TextInput, probabilities: bool) -> Answer:
    by_name = _by_name(schema, prediction)
    predicted = [name for name, is_predicted in zip(by_name, prediction.labels, strict=True) if is_predicted]
    return {"labels": sorted(predicted, key=by_name.__getitem__, reverse=True), "probabilities": by_name}


def _by_name(schema: DataSchema, prediction: Prediction) -> dict[str, float]:
    return dict(zip(schema.label_names, prediction.probabilities.tolist(), strict=True))


def _tags(schema: DataSchema, prediction: Prediction, source: TextInput, probabilities: bool) -> Answer:
    labels, tokens = prediction.labels, source.tokens
    if source.words is not None:
        tokens, labels = source.words, labels[source.starts]
    names = schema.label_names
    answer: Answer = {"tokens": tokens, "labels": [names[label] for label in labels.tolist()]}
    if probabilities:
        chances = prediction.probabilities[np.arange(len(prediction.labels)), prediction.labels]
        answer["probabilities"] = (chances if source.words is None else chances[source.starts]).tolist()
    return answer


def _entities(schema: DataSchema, prediction: Prediction, source: TextInput, probabilities: bool) -> Answer:
    answer = _tags(schema, prediction, source, probabilities)
    found = spans(answer["labels"])
    if not found:
        return answer | {"entities": []}
    if source.words is None:
        offsets = schema.tokenizer.offsets(source.text)
    else:
        ends = accumulate(len(word) + 1 for word in source.words)
        offsets = [(end - len(word) - 1, end - 1) for word, end in zip(source.words, ends, strict=True)]
    entities, names = [], schema.label_names
    starts = range(len(source.tokens)) if source.starts is None else source.starts
    for span in found:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        entity = {"type": span.type, "text": source.text[start:end], "start": span.start, "end": span.end}
        entity |= {"start_char": start, "end_char": end}
        if probabilities:
            entity["probability"] = entity_probability(prediction, names, span, starts)
        entities.append(entity)
    return answer | {"entities": entities}


# The answer for a text, and its keys.
_ANSWERS: dict[Task, tuple[Callable[[DataSchema, Prediction, TextInput, bool], Answer], tuple[str, ...]]] = {
    "classification": (_label, ("label", "probability")),
    "multilabel": (_label_set, ("labels", "probabilities")),
    "labeling": (_entities, ("tokens", "labels", "entities")),
    "tagging": (_tags, ("tokens", "labels")),
}
