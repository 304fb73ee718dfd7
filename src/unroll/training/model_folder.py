"""A trained model on disk: weights as safetensors, all else as JSON. No pickle, no code."""

from pathlib import Path
from typing import Any

from unroll.data.source import Task
from unroll.files import read_json, whole_folder, write_json
from unroll.nn import SequenceModel


class ModelFolder:
    """What a trained model needs to label text.

    Attributes:
        model: the network, in evaluation mode.
        task, label_names, vocabulary: of the data it was trained on.
    """

    def __init__(self, model: SequenceModel, task: Task, label_names: list[str], vocabulary: list[str]) -> None:
        self.model = model
        self.task: Task = task
        self.label_names = label_names
        self.vocabulary = vocabulary

    def save(self, folder: Path, model_config: dict[str, Any]) -> None:
        """Write `folder`; `model_config` is what `build_model` was given."""
        from safetensors.torch import save_file

        with whole_folder(folder) as work:
            save_file(self.model.state_dict(), work / "weights.safetensors")
            write_json(work / "vocabulary.json", self.vocabulary)
            description = {"task": self.task, "label_names": self.label_names, "model": model_config}
            write_json(work / "config.json", description)

    @classmethod
    def load(cls, folder: Path) -> "ModelFolder":
        """Raises ValueError where `folder` holds no trained model."""
        from safetensors.torch import load_file

        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} holds no trained model; train one with python pipelines/train.py")
        config = read_json(folder / "config.json")
        vocabulary = read_json(folder / "vocabulary.json")
        model = build_model(config["model"], config["task"], len(config["label_names"]), len(vocabulary))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        model.eval()
        return cls(model, config["task"], config["label_names"], vocabulary)


def build_model(config: dict[str, Any], task: Task, num_labels: int, vocabulary_size: int) -> SequenceModel:
    """The network that a file of `conf/model` describes, for a dataset of this size.

    Raises:
        ValueError: the network refuses a value.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        model: SequenceModel = instantiate(
            config, vocabulary_size=vocabulary_size, num_labels=num_labels, task=task, _convert_="all"
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise ValueError(f"model: {error.__cause__}") from error
        raise
    return model
