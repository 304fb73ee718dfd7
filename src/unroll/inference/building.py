"""Builds a model from its configuration: a file of ``conf/model``, or the copy of one in a model's folder.

A configuration may name the public classes of `unroll.nn` and `unroll.baselines` and nothing else, so that loading a
folder from somebody else cannot run code of its choice.
"""

from collections.abc import Callable
from functools import partial
from inspect import isabstract, isclass, signature
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

import unroll.baselines
import unroll.nn
from unroll.arguments import check_arguments
from unroll.data.schema import DataSchema
from unroll.files import reason

Model = unroll.nn.SequenceModel | unroll.baselines.Baseline  # both have save(folder), load(folder) and num_parameters

_PARTS = {
    f"{room.__name__}.{name}": part
    for room in (unroll.nn, unroll.baselines)
    for name, part in vars(room).items()
    if isclass(part)
}
_MODELS = {name: part for name, part in _PARTS.items() if issubclass(part, Model) and not isabstract(part)}

# What a model may learn about its dataset, by the name of the argument.
_FACTS: dict[str, Callable[[DataSchema], Any]] = {
    "task": lambda schema: schema.task,
    "label_names": lambda schema: schema.label_names,
    "vocabulary": lambda schema: schema.vocabulary,
    "vocabulary_size": lambda schema: len(schema.vocabulary),
    "alphabet": lambda schema: schema.alphabet,
    "alphabet_size": lambda schema: len(schema.alphabet),
}


def build_model(config: dict[str, Any], schema: DataSchema) -> Model:
    """Build the untrained model that a file of ``conf/model`` describes, in the sizes that a dataset needs.

    The class that ``_target_`` names gets those facts about the dataset that it has parameters for.

    Raises:
        ValueError: see `check_model`; or the model is not made for the dataset's task, or does not accept a value.
    """
    check_model(config)
    parameters = signature(_MODELS[config["_target_"]]).parameters
    facts = {name: fact(schema) for name, fact in _FACTS.items() if name in parameters}
    try:
        model: Model = _assemble(config | {"_partial_": True})(**facts)
    except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: of an allocation
        raise ValueError(f"model: {reason(error)}") from error
    return model


class Bounded(TorchFunctionMode):
    """A context in which PyTorch makes tensors of at most `elements` elements in all, before it allocates them.

    Raises:
        ValueError: within the context, a tensor would be too large.
    """

    _MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye, torch.arange)

    def __init__(self, elements: int) -> None:
        super().__init__()
        self._left = elements

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._MAKERS:
            self._left -= func(*args, **{**(kwargs or {}), "device": "meta"}).numel()
            if self._left < 0:
                raise ValueError("its sizes are larger than those of the weights")
        return func(*args, **(kwargs or {}))


def check_model(config: Any) -> None:
    """Check a model's configuration before anything is built from it.

    Raises:
        ValueError: it names something else than a part of a model, or an argument is unknown or of the wrong type.
    """
    if not isinstance(config, dict) or "_target_" not in config:
        raise ValueError(f"model={config!r}; accepted: a mapping with the key _target_")
    if facts := [name for name in _FACTS if name in config]:
        raise ValueError(f"model.{facts[0]}: not a key, because the dataset determines it")
    _check_parts(config, "model", _MODELS)


def _check_parts(config: Any, where: str, accepted: dict[str, Any]) -> None:
    if isinstance(config, list):
        for position, value in enumerate(config):
            _check_parts(value, f"{where}[{position}]", _PARTS)
    if not isinstance(config, dict):
        return
    if "_target_" in config:
        target = config["_target_"]
        if not isinstance(target, str) or target not in accepted:
            raise ValueError(f"{where}._target_={target!r}; accepted: {', '.join(accepted)}")
        check_arguments(accepted[target], _arguments(config), where)
    for key, value in config.items():
        _check_parts(value, f"{where}.{key}", _PARTS)


def _assemble(config: Any) -> Any:
    """Replace every mapping that has a ``_target_`` by an instance, or with ``_partial_`` by a constructor."""
    if isinstance(config, list):
        return [_assemble(value) for value in config]
    if not isinstance(config, dict):
        return config
    arguments = {key: _assemble(value) for key, value in _arguments(config).items()}
    if "_target_" not in config:
        return arguments
    build = partial(_PARTS[config["_target_"]], **arguments)
    return build if config.get("_partial_") else build()


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("_target_", "_partial_")}
