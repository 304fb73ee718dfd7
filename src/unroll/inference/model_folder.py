"""The folder of a trained model: what every kind of model has in it, and how its files are checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from unroll.arguments import check_arguments
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.files import CHECKSUMS, damaged_files, foreign_links, read_json, reason

CONFIG, ONNX_MODEL, TOKENIZER = "config.json", "model.onnx", Tokenizer.FILES[0]


class LoadedModel(Protocol):
    """Interface of a model that is ready to predict: a network in PyTorch or ONNX, or a baseline."""

    @property
    def schema(self) -> DataSchema:
        """Of the data that the model was trained on."""

    def predict(
        self, split: EncodedSplit, batch_size: int, probabilities: bool = True, chains: bool = False
    ) -> list[Prediction]:
        """Predict one `Prediction` per sequence, in the order of the split.

        Args:
            probabilities: False leaves out the probabilities of labels of tokens if they cost more than the labels.
            chains: True adds `following` and `transitions` to the predictions even if they cost more than the rest.
        """


def is_network(folder: Path) -> bool:
    """Whether a model folder has a network, and not a baseline, by its configuration."""
    model = read_json(folder / CONFIG, keys=("model",))["model"]
    return isinstance(model, dict) and model.get("_target_") == "unroll.nn.SequenceModel"


def _training_command(folder: Path) -> str:
    """The command that trains the model of a folder, models/DATASET/MODEL/SEED/model or another."""
    parts = folder.absolute().parts
    if len(parts) > 5 and (parts[-5], parts[-1]) == ("models", "model"):
        dataset, model, seed = parts[-4:-1]
        return f"python pipelines/train.py dataset={dataset} model={model} seed={seed}"
    return "python pipelines/train.py dataset=NAME model=NAME"


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Turn whatever loading a damaged model raises into a ValueError of one line; for use around the whole of it."""
    if not (folder / CONFIG).exists():
        raise ValueError(f"no trained model in {folder}; train one with {_training_command(folder)}")
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:  # libraries raise anything: RuntimeError, SafetensorError, onnxruntime's Fail, …
        raise ValueError(f"the model in {folder} cannot be used ({reason(error)}): copy or train it again") from error


def read_folder(folder: Path, *names: str) -> tuple[DataSchema, dict[str, Any]]:
    """Read the schema and the configuration that the model was built from, after checking all files.

    Args:
        names: files that must have a checksum if any has one.

    Raises:
        ValueError: a file is damaged or a link to a file elsewhere, or the configuration is of another kind.
    """
    if links := foreign_links(folder):
        raise ValueError(f"{', '.join(links)}: a link out of the folder, without a checksum in {CHECKSUMS}")
    config = read_json(folder / CONFIG, keys=("model", "task", "is_pair", "label_names"))
    if damaged := {*damaged_files(folder), *damaged_files(folder, names)}:
        raise ValueError(f"{', '.join(sorted(damaged))}: not what was written, by {CHECKSUMS}")
    facts = {name: config[name] for name in ("task", "is_pair", "given_tokens", "label_names") if name in config}
    check_arguments(DataSchema, facts, CONFIG)
    options = read_json(folder / TOKENIZER, keys=("split",))
    check_arguments(TokenizerOptions, {it: options[it] for it in options if it != "version"}, TOKENIZER)
    return DataSchema.load(folder, config), config["model"]
