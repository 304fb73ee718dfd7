"""An MLflow "model from code": MLflow executes this file to load a logged model."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pkgutil import extend_path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from unroll.data.schema import DataSchema
from unroll.data.tokens import PAIR, TEXT, TOKENS
from unroll.inference.predictor import Predictor

# The package beside a logged model has only what that model needs. The modules of another kind of model that is loaded
# after it, or of an installation of unroll, remain importable.
if find_spec("unroll.api") is None:
    for name in sorted(name for name in sys.modules if name.partition(".")[0] == "unroll"):
        package = sys.modules[name]
        if hasattr(package, "__path__"):
            package.__path__ = extend_path(package.__path__, name)


class BadInput(MlflowException, ValueError):
    """Input that the model does not accept; MLflow's server answers it with status 400 and the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, error_code=BAD_REQUEST)
        self._reason = reason

    def serialize_as_json(self) -> str:
        self.message = self._reason  # the server has put a copy of the whole input before it
        serialized: str = super().serialize_as_json()
        return serialized


class TextModel(PythonModel):
    """`Predictor` in MLflow.

    The input is a text; a list, array or series of what `Predictor.predict` reads; or columns, as a data frame or as a
    dictionary of lists: those that `DataSchema.text_columns` names, where others are ignored. The parameters `errors`
    and `probabilities` and the answers are those of `Predictor.predict`; those for a data frame are a data frame.
    """

    def load_context(self, context: PythonModelContext) -> None:
        self._predictor = Predictor.load(Path(context.artifacts["model"]))

    # MLflow would convert or refuse the other kinds of input if the annotation named them.
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame | list[dict[str, Any]]:
        options = params or {}
        try:
            answers = self._predictor.predict(_texts(model_input, self._predictor.model.schema), **options)
        except ValueError as error:
            raise BadInput(str(error)) from error
        if not isinstance(model_input, pd.DataFrame):
            return answers  # making a frame costs four times the prediction of a sentence
        frame = pd.DataFrame(answers)
        # pandas turns None beside numbers into NaN, which is not JSON.
        return frame.astype(object).where(frame.notna(), None) if options.get("errors") == "coerce" else frame


def _texts(given: Any, schema: DataSchema) -> list[Any]:
    """What `Predictor.predict` reads."""
    values = _values(given)
    if isinstance(values, str):
        return [values]
    if isinstance(values, list) and values and all(isinstance(it, Mapping) for it in values):
        given = pd.DataFrame(values)  # rows
    elif isinstance(values, list):
        return values
    if not isinstance(given, pd.DataFrame | Mapping):
        accepted = f"a text, a list of texts, or columns {TEXT}, {PAIR}, {TOKENS}"
        raise ValueError(f"the input is {values!r:.100}; accepted: {accepted}")
    columns = {name: _values(given[name]) for name in schema.text_columns([str(name) for name in given])}
    for name, column in columns.items():
        if isinstance(column, str) and name != TOKENS:
            columns[name] = [column]
        elif not isinstance(column, list) or (name == TOKENS and any(isinstance(it, str) for it in column)):
            kind = "lists of tokens" if name == TOKENS else "texts"
            raise ValueError(f"{name} is not a list of {kind}; accepted: a list with one entry a text")
    first, *others = columns.values()
    if not others:
        return list(first)
    (second,) = others
    if len(first) != len(second):
        raise ValueError(f"{len(first)} texts and {len(second)} of {PAIR}; accepted: equally many")
    return list(zip(first, second, strict=True))


def _values(values: Any) -> Any:
    """A NumPy array or a series as Python's values."""
    return values.tolist() if isinstance(values, np.ndarray | np.generic | pd.Series) else values


set_model(TextModel())
