"""A trained model on disk: weights as safetensors, all else as JSON. No pickle, no code."""

from pathlib import Path
from typing import Any

from unroll.data.prepared import PreparedData
from unroll.data.source import Task
from unroll.data.tokenizer import Tokenizer
from unroll.files import read_json, whole_folder, write_json
from unroll.nn import SequenceModel


class ModelFolder:
    """What a trained model needs to label text.

    Attributes:
        model: the network, in evaluation mode.
        task, label_names, vocabulary, alphabet, tokenizer, is_pair: of the data it was trained on.
    """

    def __init__(
        self,
        model: SequenceModel,
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
    def of(cls, model: SequenceModel, data: PreparedData) -> "ModelFolder":
        """A model that was trained on `data`."""
        return cls(model, data.task, data.label_names, data.vocabulary, data.alphabet, data.tokenizer, data.is_pair)

    def save(self, folder: Path, model_config: dict[str, Any]) -> None:
        """Write `folder`; `model_config` is what `build_model` was given."""
        from safetensors.torch import save_file

        with whole_folder(folder) as work:
            save_file(self.model.state_dict(), work / "weights.safetensors")
            write_json(work / "vocabulary.json", self.vocabulary)
            write_json(work / "alphabet.json", self.alphabet)
            self.tokenizer.save(work)
            description = {"task": self.task, "is_pair": self.is_pair, "label_names": self.label_names}
            write_json(work / "config.json", description | {"model": model_config})

    @classmethod
    def load(cls, folder: Path) -> "ModelFolder":
        """Raises ValueError where `folder` holds no trained model."""
        from safetensors.torch import load_file

        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} holds no trained model; train one with python pipelines/train.py")
        config = read_json(folder / "config.json")
        vocabulary, alphabet = read_json(folder / "vocabulary.json"), read_json(folder / "alphabet.json")
        model = build_model(config["model"], config["task"], config["label_names"], len(vocabulary), len(alphabet))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        model.eval()
        tokenizer = Tokenizer.load(folder)
        return cls(model, config["task"], config["label_names"], vocabulary, alphabet, tokenizer, config["is_pair"])


def build_model(
    config: dict[str, Any], task: Task, label_names: list[str], vocabulary_size: int, alphabet_size: int
) -> SequenceModel:
    """The network that a file of `conf/model` describes, for a dataset of this size.

    Raises:
        ValueError: the network refuses a value.
    """
    from hydra.utils import instantiate

    # The label names are no configuration: OmegaConf would resolve a ??? or ${...} in them.
    build = instantiate(config, _partial_=True, _convert_="all")
    try:
        model: SequenceModel = build(
            vocabulary_size=vocabulary_size, alphabet_size=alphabet_size, label_names=label_names, task=task
        )
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    return model
