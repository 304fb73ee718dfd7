"""What a logged model needs of this package and of others: few files, and the versions that are installed."""

import ast
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import unroll
from unroll.inference import mlflow_model, model_folder

ROOT = Path(unroll.__file__).parent
# An exported model is loaded without this module, the only one of those below that imports PyTorch.
TRAINED_MODEL = ROOT / "inference" / "trained_model.py"

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
    for file in _modules(Path(mlflow_model.__file__), {TRAINED_MODEL} if exported else set()):
        target = folder / "unroll" / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    for directory in [folder / "unroll", *(folder / "unroll").rglob("*/")]:
        shutil.copy2(ROOT / directory.relative_to(folder / "unroll") / "__init__.py", directory)
    return folder / "unroll"


def requirements(exported: bool) -> list[str]:
    """The requirements of a logged model, in the versions that are installed."""
    # A local version such as 2.13.0+cpu is not in the package index.
    return [f"{name}=={version(name).partition('+')[0]}" for name in (EXPORTED if exported else TRAINED)]


def _modules(start: Path, left_out: set[Path]) -> set[Path]:
    """The files of the package that a file imports, at its top or in a function, and those that they import."""
    found, waiting = set(left_out), [start]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file)
    return found - left_out


def _imports(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]  # an alias may be a module
        for name in names:
            path = ROOT.parent / Path(*name.split("."))
            if name.startswith("unroll."):
                yield from (it for it in (path.with_suffix(".py"), path / "__init__.py") if it.is_file())
