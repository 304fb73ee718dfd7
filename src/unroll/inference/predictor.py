"""Predict labels from text with a trained model, in Python and in MLflow's server."""

from pathlib import Path

from unroll.checks import check_choice
from unroll.hardware import DEVICES, may_have_gpu
from unroll.inference.model_folder import ONNX_MODEL, is_network
from unroll.inference.text_predictor import TextPredictor


class Predictor(TextPredictor):
    """Predicts the labels of texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "Predictor":
        """Load the model folder that a training or an export wrote.

        A folder with an ONNX model is used without PyTorch, any other one with what the model was trained with.

        Args:
            device: `cpu`; `cuda` or `mps`, which is an error where it is not there; or `auto`, the GPU if there is one.
                Exported models know no `mps`, and `auto` is the CPU for them unless ONNX Runtime is its build for CUDA.
                Baselines compute on the CPU.

        Raises:
            ValueError: there is no such model, or no such device.
        """
        folder = Path(folder)
        check_choice("device", device, DEVICES)
        if (folder / ONNX_MODEL).exists():
            from unroll.inference.onnx_model import OnnxModel

            return cls(OnnxModel.load(folder, device))
        try:
            from unroll.inference.trained_model import TrainedModel
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{folder} has no {ONNX_MODEL}, and {error.name} is not installed: export the model with "
                "`unroll export`, or install unroll[train]"
            ) from error
        return cls(TrainedModel.load(folder, device))

    @staticmethod
    def uses_gpu(folder: Path, device: str) -> bool:
        """Whether a model, loaded for a device, predicts on a GPU; raises ValueError if it does not know the device."""
        if (folder / ONNX_MODEL).exists():
            from unroll.inference.onnx_model import CUDA, provider_of

            return provider_of(device) == CUDA
        if device == "cpu" or (device == "auto" and not may_have_gpu()) or not is_network(folder):
            return False
        from unroll.inference.trained_model import device_of

        return device_of(device) != "cpu"
