"""Builds a model from its configuration: a file of ``conf/model``, or the copy of one in a model's folder.

A configuration may name the public classes of `unroll.nn` and `unroll.baselines` and nothing else, so that loading a
folder from somebody else cannot run code of its choice.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from inspect import isabstract, isclass, signature
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import unroll.baselines
import unroll.nn
from unroll.arguments import check_arguments
from unroll.checks import hint
from unroll.data.schema import DataSchema
from unroll.data.tokens import SEQUENCE_TASKS, TOKEN_TASKS, Task
from unroll.files import reason

Model = unroll.nn.SequenceModel | unroll.baselines.Baseline  # both have save(folder), load(folder) and num_parameters

_PARTS = {
    f"{room.__name__}.{name}": part
    for room in (unroll.nn, unroll.baselines)
    for name, part in vars(room).items()
    if isclass(part)
}
_FEW = 4  # words and characters, the special ones among them
_MODELS = {name: part for name, part in _PARTS.items() if issubclass(part, Model) and not isabstract(part)}

# What the parts below these keys are called with, which tells a cell from an encoder or a character encoder.
_ROLES = {
    "encoder": ("input_size", "hidden_size"),
    "cell": ("input_size", "hidden_size"),
    "characters": ("alphabet_size",),
}


def _parts_for(role: str) -> dict[str, Any]:
    """The parts that a key takes, by their names; all for a key without a role."""
    if role not in _ROLES:
        return _PARTS
    inputs = {"encoder": 2}.get(role, 1)  # an encoder also gets the lengths

    def fits(part: Any) -> bool:
        first = tuple(signature(part).parameters)[: len(_ROLES[role])]
        return first == _ROLES[role] and len(signature(part.forward).parameters) == inputs + 1  # with self

    return {name: part for name, part in _PARTS.items() if issubclass(part, nn.Module) and fits(part)}


# Values that say nothing of a key that the dataset's task does not use.
_UNUSED = {"head": "softmax", "pooling": "last"}

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
        model: Model = _assemble(config | {"_partial_": True}, "model")(**facts)
    except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: of an allocation
        text = reason(error)
        raise ValueError(text if text.startswith("model.") else f"model: {text}") from error
    return model


def check_used(overrides: Collection[str], config: dict[str, Any], task: Task) -> None:
    """Check that a network for a task uses the keys that were set by hand.

    A file of ``conf/model`` may have keys for both kinds of tasks.

    Args:
        overrides: the keys of the model that were set.

    Raises:
        ValueError: a key is for labels of tokens only, or for labels of texts only, and `task` is of the other kind.
    """
    unused, others = ("pooling", SEQUENCE_TASKS) if task in TOKEN_TASKS else ("head", TOKEN_TASKS)
    value = config.get(unused)
    if unused in overrides and value != _UNUSED[unused]:
        accepted = f"accepted: {_UNUSED[unused]}, or the command without it"
        raise ValueError(
            f"model.{unused}={value} is for {' and '.join(others)}, and the dataset's task is {task}; {accepted}"
        )


def try_model(config: dict[str, Any], schema: DataSchema) -> None:
    """Raise the errors of `build_model`, but for memory, in a time that does not depend on the size of the dataset."""
    build_model(config, replace(schema, vocabulary=schema.vocabulary[:_FEW], alphabet=schema.alphabet[:_FEW]))


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
    role = where.rpartition(".")[2]
    if "_target_" in config:
        target = config["_target_"]
        if not isinstance(target, str) or target not in accepted:
            similar = hint(str(target), accepted)
            raise ValueError(f"{where}._target_={target!r}{similar}; accepted: {', '.join(accepted)}")
        takes = signature(accepted[target]).parameters
        for key in (it for it in _ROLES if it in config and it in takes):
            _check_is_part(config[key], f"{where}.{key}", is_optional=takes[key].default is None)
        check_arguments(accepted[target], _arguments(config), where, unlisted=(*_FACTS, *_ROLES.get(role, ())))
    for key, value in config.items():
        _check_parts(value, f"{where}.{key}", _parts_for(key))


def _check_is_part(value: Any, where: str, is_optional: bool) -> None:
    """Refuse what is no mapping with a ``_target_``, at a key that takes a part."""
    if (isinstance(value, dict) and "_target_" in value) or (value is None and is_optional):
        return
    accepted = _parts_for(where.rpartition(".")[2])
    similar = "" if str(value) in accepted else hint(str(value), accepted)
    null = ", or null" if is_optional else ""
    raise ValueError(
        f"{where}={value!r}{similar}; accepted: a mapping with _target_ and _partial_: true{null}; _target_ is one of "
        f"{', '.join(accepted)}"
    )


def _assemble(config: Any, where: str) -> Any:
    """Replace every mapping that has a ``_target_`` by an instance, or with ``_partial_`` by a constructor.

    Args:
        where: the dotted key of `config`, for messages.
    """
    if isinstance(config, list):
        return [_assemble(value, f"{where}[{position}]") for position, value in enumerate(config)]
    if not isinstance(config, dict):
        return config
    arguments = {key: _assemble(value, f"{where}.{key}") for key, value in _arguments(config).items()}
    if "_target_" not in config:
        return arguments
    build = partial(_make, where, _PARTS[config["_target_"]], arguments)
    return build if config.get("_partial_") else build()


def _make(where: str, part: Callable[..., Any], arguments: dict[str, Any], *others: Any, **facts: Any) -> Any:
    """Call a part, whose message ``key=value; …`` begins with the dotted key, if that is one of its arguments."""
    try:
        return part(*others, **arguments, **facts)
    except ValueError as error:
        named = re.match(r"(\w+)=", str(error))
        if named is None or named[1] not in arguments:
            raise
        raise ValueError(f"{where}.{error}") from error


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("_target_", "_partial_")}
