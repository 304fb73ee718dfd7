"""A trained model on disk: what it learned in its own files, all else as JSON. No pickle, no code."""

import inspect
from pathlib import Path
from typing import Any

from unroll.data.schema import DataSchema
from unroll.files import read_json, whole_folder, write_json
from unroll.inference.predict import Model


class ModelFolder:
    """What a trained model needs to label text.

    Attributes:
        model: ready to predict.
        schema: of the data that it was trained on.
    """

    def __init__(self, model: Model, schema: DataSchema) -> None:
        self.model = model
        self.schema = schema

    def save(self, folder: Path, model_config: dict[str, Any]) -> None:
        """Write `folder`; `model_config` is what `build_model` was given."""
        with whole_folder(folder) as work:
            self.model.save(work)
            write_json(work / "config.json", self.schema.save(work) | {"model": model_config})

    @classmethod
    def load(cls, folder: Path) -> "ModelFolder":
        """Raises ValueError where `folder` holds no trained model."""
        if not (folder / "config.json").exists():
            raise ValueError(f"{folder} holds no trained model; train one with python pipelines/train.py")
        config = read_json(folder / "config.json")
        schema = DataSchema.load(folder, config)
        model = build_model(config["model"], schema)
        model.load(folder)
        return cls(model, schema)


def build_model(config: dict[str, Any], schema: DataSchema) -> Model:
    """The Model that a file of `conf/model` describes, for a dataset: it is given what it has arguments for.

    Raises:
        ValueError: the model is not for this task, or refuses a value.
    """
    from hydra.utils import instantiate

    # What the dataset says is no configuration: OmegaConf would resolve a ??? or ${...} in it.
    build = instantiate(config, _partial_=True, _convert_="all")
    facts = {
        "task": schema.task,
        "label_names": schema.label_names,
        "vocabulary": schema.vocabulary,
        "vocabulary_size": len(schema.vocabulary),
        "alphabet": schema.alphabet,
        "alphabet_size": len(schema.alphabet),
    }
    wanted = inspect.signature(build).parameters
    try:
        model: Model = build(**{name: fact for name, fact in facts.items() if name in wanted})
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    return model
