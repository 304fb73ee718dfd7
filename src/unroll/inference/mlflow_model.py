"""An MLflow "model from code": MLflow executes this file to load a logged model."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class TextModel(PythonModel):
    """Predict from a data frame with the column `text`, and `text_pair` for models of pairs of texts.

    The result is a data frame with the keys of `Predictor.predict` as its columns.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from unroll.inference.predictor import Predictor

        self._predictor = Predictor.load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        texts = model_input["text"].tolist()
        if "text_pair" in model_input:
            texts = list(zip(texts, model_input["text_pair"], strict=True))
        return pd.DataFrame(self._predictor.predict(texts))


set_model(TextModel())
