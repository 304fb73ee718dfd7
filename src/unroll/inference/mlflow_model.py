"""An MLflow "model from code": MLflow executes this file to load a logged model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class TextModel(PythonModel):
    """Predict from a data frame with the column `text`, and `text_pair` for models of pairs of texts.

    For labeling, and for models that were trained on given tokens, a column `tokens` of lists takes the place of
    `text`. The parameter `errors` and the columns of the result are those of `Predictor.predict`.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from unroll.inference.predictor import Predictor

        self._predictor = Predictor.load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        columns = [name for name in ("tokens", "text") if name in model_input]
        if not columns:
            raise ValueError(f"columns {', '.join(map(str, model_input))}; accepted: text, text_pair or tokens")
        texts = model_input[columns[0]].tolist()
        if "text_pair" in model_input:
            texts = list(zip(texts, model_input["text_pair"], strict=True))
        return pd.DataFrame(self._predictor.predict(texts, **(params or {})))


set_model(TextModel())
