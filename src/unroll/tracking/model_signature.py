"""The signature of a logged model: what it answers, its parameters, and an example of what it reads."""

from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

from unroll.data.tokens import Task

SAMPLE = "Not bad at all."

_STRINGS, _NUMBERS = Array(DataType.string), Array(DataType.double)
_BY_LABEL = Map(DataType.double)
_ENTITY = Object(
    [
        *(Property(name, DataType.string) for name in ("type", "text")),
        *(Property(name, DataType.long) for name in ("start", "end", "start_char", "end_char")),
        Property("probability", DataType.double, required=False),
    ]
)
_TAGS = [ColSpec(_STRINGS, "tokens"), ColSpec(_STRINGS, "labels")]
_OF_TOKENS = ColSpec(_NUMBERS, "probabilities", required=False)  # with the parameter `probabilities`

# The columns of the answers; see `Predictor.predict`.
OUTPUTS: dict[Task, list[ColSpec]] = {
    "classification": [
        ColSpec(DataType.string, "label"),
        ColSpec(DataType.double, "probability"),
        ColSpec(_BY_LABEL, "probabilities", required=False),
    ],
    "multilabel": [ColSpec(_STRINGS, "labels"), ColSpec(_BY_LABEL, "probabilities")],
    "labeling": [*_TAGS, _OF_TOKENS, ColSpec(Array(_ENTITY), "entities")],
    "tagging": [*_TAGS, _OF_TOKENS],
}


def signature(config: dict[str, Any]) -> ModelSignature:
    """The signature of `TextModel` with a model of this configuration.

    It has no schema of the inputs: with one, MLflow would refuse lists of texts and single texts, which have no column
    names, and put its own words before the reason of an error. `TextModel` checks what it reads itself.
    """
    options = [ParamSpec("errors", "string", "raise"), ParamSpec("probabilities", "boolean", False)]
    return ModelSignature(outputs=Schema(list(OUTPUTS[config["task"]])), params=ParamSchema(options))


def example(config: dict[str, Any]) -> pd.DataFrame:
    """A data frame of one text."""
    if config.get("given_tokens"):
        return pd.DataFrame({"tokens": [SAMPLE[:-1].split()]})
    return pd.DataFrame({"text": [SAMPLE]} | ({"text_pair": [SAMPLE]} if config["is_pair"] else {}))
