"""A trained model on disk: what it learned in its own files, all else as JSON. No pickle, no code."""

import inspect
from pathlib import Path
from typing import Any

from unroll.baselines import Baseline
from unroll.data.prepared import PreparedData
from unroll.data.source import Task
from unroll.data.tokenizer import Tokenizer
from unroll.files import read_json, whole_folder, write_json
from unroll.nn import SequenceModel

Model = SequenceModel | Baseline  # either answers, saves and loads itself, and has a num_parameters


class ModelFolder:
    """What a trained model needs to label text.

    Attributes:
        model: ready to answer.
        task, label_names, vocabulary, alphabet, tokenizer, is_pair: of the data it was trained on.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        label_names: list[str],
        vocabulary: list[str],
        alphabet: list[str],
        tokenizer: Tokenizer,
        is_pair: bool,
    ) -> None:
        self.model = model
        self.task: Task = task
        self.label_names = label_names
        self.vocabulary = vocabulary
        self.alphabet = alphabet
        self.tokenizer = tokenizer
        self.is_pair = is_pair

    @classmethod
    def of(cls, model: Model, data: PreparedData) -> "ModelFolder":
        """A model that was trained on `data`."""
        return cls(model, data.task, data.label_names, data.vocabulary, data.alphabet, data.tokenizer, data.is_pair)

    def save(self, folder: Path, model_config: dict[str, Any]) -> None:
        """Write `folder`; `model_config` is what `build_model` was given."""
        with whole_folder(folder) as work:
            self.model.save(work)
            write_json(work / "vocabulary.json", self.vocabulary)
            write_json(work / "alphabet.json", self.alphabet)
            self.tokenizer.save(work)
            description = {"task": self.task, "is_pair": self.is_pair, "label_names": self.label_names}
            write_json(work / "config.json", description | {"model": model_config})

    @classmethod
    def load(cls, folder: Path) -> "ModelFolder":
        """Raises ValueError where `folder` holds no trained model."""
        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} holds no trained model; train one with python pipelines/train.py")
        config = read_json(folder / "config.json")
        vocabulary, alphabet = read_json(folder / "vocabulary.json"), read_json(folder / "alphabet.json")
        model = build_model(config["model"], config["task"], config["label_names"], vocabulary, alphabet)
        model.load(folder)
        tokenizer = Tokenizer.load(folder)
        return cls(model, config["task"], config["label_names"], vocabulary, alphabet, tokenizer, config["is_pair"])


def build_model(
    config: dict[str, Any], task: Task, label_names: list[str], vocabulary: list[str], alphabet: list[str]
) -> Model:
    """The Model that a file of `conf/model` describes, for a dataset: it is given what it has arguments for.

    Raises:
        ValueError: the model is not for this task, or refuses a value.
    """
    from hydra.utils import instantiate

    # What the dataset says is no configuration: OmegaConf would resolve a ??? or ${...} in it.
    build = instantiate(config, _partial_=True, _convert_="all")
    dataset = {
        "task": task,
        "label_names": label_names,
        "vocabulary": vocabulary,
        "vocabulary_size": len(vocabulary),
        "alphabet": alphabet,
        "alphabet_size": len(alphabet),
    }
    wanted = inspect.signature(build).parameters
    try:
        model: Model = build(**{name: fact for name, fact in dataset.items() if name in wanted})
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    return model
