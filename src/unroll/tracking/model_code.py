"""What a logged model needs of this package and of others: few files, and the versions that are installed."""

from importlib.metadata import version
from pathlib import Path

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
