"""Predicts labels from text with a model that is loaded; needs no package that this model does not need."""

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, Protocol

from unroll.checks import check_choice
from unroll.data.prepared import EncodedSplit
from unroll.inference.answers import empty_answer, make_answer
from unroll.inference.inputs import TextInput, TextReader
from unroll.inference.model_folder import LoadedModel

_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, Set)


class TextPredictor:
    """Predicts the labels of texts with a loaded model."""

    def __init__(self, model: LoadedModel) -> None:
        self.model, self._schema = model, model.schema
        self._reader = TextReader(model.schema)

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


class Loader(Protocol):
    """What loads models for those who must not import all that a model may need: the class `Predictor`."""

    def load(self, folder: Path, device: str) -> TextPredictor: ...

    def uses_gpu(self, folder: Path, device: str) -> bool: ...
