"""What a logged model has beside its files: code, requirements, a signature, and an example of what it reads."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

from unroll.data.tokens import Task
from unroll.files import write_bytes
from unroll.inference import mlflow_model, model_folder
from unroll.source_files import PACKAGE, source_files

# An exported model is loaded without this module, the only one of those below that imports PyTorch.
TRAINED_MODEL = "unroll.inference.trained_model"

# The packages that the files import to predict, and those of MLflow that read a model from a folder, a server or a
# database: 420 MB installed, of which `mlflow` in place of `mlflow-skinny` would make 990.
EXPORTED = ["alembic", "icu4py", "mlflow-skinny", "numpy", "onnxruntime", "pandas", "pydantic", "sentencepiece"]
EXPORTED += ["SQLAlchemy"]
TRAINED = [*EXPORTED, "python-crfsuite", "safetensors", "scikit-learn", "scipy", "torch"]

SAMPLE = "Not bad at all."

_STRINGS, _NUMBERS = Array(DataType.string), Array(DataType.double)
_BY_LABEL = Map(DataType.double)
_ENTITY = Object(
    [
        *(Property(name, DataType.string) for name in ("type", "text")),
        *(Property(name, DataType.long) for name in ("start", "end", "start_char", "end_char")),
        Property("probability", DataType.double, required=False),
    ]
)
_TAGS = [ColSpec(_STRINGS, "tokens"), ColSpec(_STRINGS, "labels")]
_OF_TOKENS = ColSpec(_NUMBERS, "probabilities", required=False)  # with the parameter `probabilities`

# The columns of the answers; see `Predictor.predict`.
OUTPUTS: dict[Task, list[ColSpec]] = {
    "classification": [
        ColSpec(DataType.string, "label"),
        ColSpec(DataType.double, "probability"),
        ColSpec(_BY_LABEL, "probabilities", required=False),
    ],
    "multilabel": [ColSpec(_STRINGS, "labels"), ColSpec(_BY_LABEL, "probabilities")],
    "labeling": [*_TAGS, _OF_TOKENS, ColSpec(Array(_ENTITY), "entities")],
    "tagging": [*_TAGS, _OF_TOKENS],
}


def is_exported(folder: Path) -> bool:
    """Whether the model in a folder is loaded with ONNX Runtime."""
    return (folder / model_folder.ONNX_MODEL).is_file()


def copy_code(folder: Path, exported: bool) -> Path:
    """Copy the modules that `TextModel` imports, directly or through others, into a package in `folder`; return it."""
    files = source_files([mlflow_model.__name__], [TRAINED_MODEL] if exported else [])
    for file in files | {PACKAGE / "__init__.py"}:
        target = folder / "unroll" / file.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, file.read_bytes())
    return folder / "unroll"


def requirements(exported: bool) -> list[str]:
    """The requirements of a logged model, in the versions that are installed."""
    # A local version such as 2.13.0+cpu is not in the package index.
    return [f"{name}=={version(name).partition('+')[0]}" for name in (EXPORTED if exported else TRAINED)]


def signature(config: dict[str, Any]) -> ModelSignature:
    """The signature of `TextModel` with a model of this configuration.

    It has no schema of the inputs: with one, MLflow would refuse lists of texts and single texts, which have no column
    names, and put its own words before the reason of an error. `TextModel` checks what it reads itself.
    """
    options = [ParamSpec("errors", "string", "raise"), ParamSpec("probabilities", "boolean", False)]
    return ModelSignature(outputs=Schema(list(OUTPUTS[config["task"]])), params=ParamSchema(options))


def example(config: dict[str, Any]) -> pd.DataFrame:
    if config.get("given_tokens"):
        return pd.DataFrame({"tokens": [SAMPLE[:-1].split()]})
    return pd.DataFrame({"text": [SAMPLE]} | ({"text_pair": [SAMPLE]} if config["is_pair"] else {}))
