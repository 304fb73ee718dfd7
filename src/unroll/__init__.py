"""unroll: train, compare, register and serve recurrent networks on text.

Importing the package imports nothing else; each name below is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unroll import nn
    from unroll.api import build_model, compare, evaluate, explain, prepare, sensitivity, train
    from unroll.data.prepared import PreparedData
    from unroll.inference.predictor import Predictor
    from unroll.loading import load

    __version__: str

__all__ = ["Predictor", "PreparedData", "__version__", "build_model", "compare", "evaluate", "explain", "load", "nn"]
__all__ += ["prepare", "sensitivity", "train"]
_MODULES = {"PreparedData": "unroll.data.prepared", "Predictor": "unroll.inference.predictor", "load": "unroll.loading"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'unroll' has no attribute {name!r}")
    if name == "__version__":
        return import_module("importlib.metadata").version("unroll")
    if name == "nn":
        return import_module("unroll.nn")
    return getattr(import_module(_MODULES.get(name, "unroll.api")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
