"""Predict labels from text with a trained model, in Python and in MLflow's server."""

from pathlib import Path

from unroll.inference.model_folder import ONNX_MODEL
from unroll.inference.text_predictor import TextPredictor


class Predictor(TextPredictor):
    """Predicts the labels of texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    @classmethod
    def load(cls, folder: str | Path) -> "Predictor":
        """Load the model folder that a training or an export wrote; raises ValueError if there is none.

        A folder with an ONNX model is used without PyTorch, any other one with what the model was trained with.
        """
        folder = Path(folder)
        if (folder / ONNX_MODEL).exists():
            from unroll.inference.onnx_model import OnnxModel

            return cls(OnnxModel.load(folder))
        try:
            from unroll.inference.trained_model import TrainedModel
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{folder} has no {ONNX_MODEL}, and {error.name} is not installed: export the model with "
                "`unroll export`, or install unroll[train]"
            ) from error
        return cls(TrainedModel.load(folder))
