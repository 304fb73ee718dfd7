"""Predict labels from text with a trained model, in Python and in MLflow's server."""

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal

from unroll.checks import check_choice
from unroll.data.prepared import EncodedSplit
from unroll.hardware import DEVICES, may_have_gpu
from unroll.inference.answers import empty_answer, make_answer
from unroll.inference.inputs import TextInput, TextReader
from unroll.inference.model_folder import ONNX_MODEL, LoadedModel, is_network

_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, Set)


class Predictor:
    """Predicts the labels of texts with a trained model.

    >>> Predictor.load(Path("models/demo_reviews/lstm/1/model")).predict(["Not bad at all."])
    [{'label': 'positive', 'probability': 0.99}]
    """

    def __init__(self, model: LoadedModel) -> None:
        self.model, self._schema = model, model.schema
        self._reader = TextReader(model.schema)

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

    def predict(
        self,
        texts: Sequence[str | Sequence[str]],
        batch_size: int = 64,
        errors: Literal["raise", "coerce"] = "raise",
        probabilities: bool = False,
    ) -> list[dict[str, Any]]:
        """Predict one dictionary per text, in the order of the texts.

        - Classification: `label` and its `probability`.
        - Multilabel: `labels`, those with a probability above 0.5, the most probable first; and `probabilities`, a
          dictionary from each label to its probability.
        - Labeling: `tokens`; `labels`, one per token; and `entities`, each with its `type`, its first token `start`,
          the token after its last `end`, and `text`, the characters `start_char` to `end_char` (exclusive) of the
          text, or of the tokens joined by spaces.
        - Tagging (labeling with plain tags): `tokens`, and `labels`, one per token.

        Args:
            texts: strings; pairs of strings for a model that was trained on pairs; or, for labeling and for a model
                that was trained on given tokens, lists of tokens, which are labelled as they are.
            errors: what to do with a text that cannot be used, such as None or a text without tokens: `raise` an error,
                or `coerce` its values in the answer to None, as pandas does.
            probabilities: adds to a classification `probabilities`, as for multilabel; and to labels of tokens
                `probabilities`, that of each token's label, and to an entity `probability`, that of all label sequences
                with exactly this entity. A CRF takes longer with them.

        Raises:
            ValueError: `texts` is not a list, array or series; or with `raise`, a text has no token, or is not a pair
                although the model reads pairs, or the reverse.
        """
        texts = texts.to_pylist() if hasattr(texts, "to_pylist") else texts  # of Arrow, whose values are no strings
        is_list = isinstance(texts, Iterable) and not isinstance(texts, _NO_LISTS)
        if not is_list or getattr(texts, "ndim", 1) != 1:
            raise ValueError(f"texts is a {type(texts).__name__}; accepted: a list of texts, or a column of a table")
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}; accepted: 1 or more")
        check_choice("errors", errors, ("raise", "coerce"))
        inputs: dict[int, TextInput] = {}
        length = 0
        for length, text in enumerate(texts, start=1):
            try:
                inputs[length - 1] = self._reader.read(text, f"text {length - 1}")
            except ValueError:
                if errors == "raise":
                    raise
        answers = [empty_answer(self._schema.task, probabilities) for _ in range(length)]
        if inputs:
            split = self._reader.encode(list(inputs.values()))
            predictions = self.model.predict(split, batch_size, probabilities, chains=probabilities)
            for (position, source), prediction in zip(inputs.items(), predictions, strict=True):
                answers[position] = make_answer(self._schema, prediction, source, probabilities)
        return answers

    def encode(self, text: str | Sequence[str]) -> tuple[TextInput, EncodedSplit]:
        """The tokens that the model reads of a text, and a split of this text alone; raises ValueError as `predict`."""
        source = self._reader.read(text, "text")
        return source, self._reader.encode([source])

    def count_tokens(self, text: str | Sequence[str]) -> int:
        """The number of tokens that the model reads of a text; 0 if it cannot use the text."""
        try:
            return len(self._reader.read(text, "text").tokens)
        except ValueError:
            return 0

    def problem(self, text: str | Sequence[str], name: str) -> str | None:
        """Why the model cannot use a text, which the message calls `name`; None if it can."""
        try:
            self._reader.read(text, name)
        except ValueError as error:
            return str(error)
        return None


def uses_gpu(folder: Path, device: str) -> bool:
    """Whether a model, loaded for a device, predicts on a GPU; raises ValueError if it does not know the device."""
    if (folder / ONNX_MODEL).exists():
        from unroll.inference.onnx_model import CUDA, provider_of

        return provider_of(device) == CUDA
    if device == "cpu" or (device == "auto" and not may_have_gpu()) or not is_network(folder):
        return False
    from unroll.inference.trained_model import device_of

    return device_of(device) != "cpu"
