"""Checks a configuration against the signatures of the functions and classes that it is passed to."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from unroll.checks import missing_key, unknown_key

_OBJECTS = {"callable_type", "is_instance_of", "is_subclass_of", "is_type"}  # errors for arguments that take such
_HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def check_targets(config: Any, where: str, unlisted: Collection[str] = ()) -> None:
    """Check with `check_arguments` every `_target_` in `config`, which is at the dotted key `where`."""
    if not isinstance(config, Mapping):
        return
    if "_target_" in config:
        arguments = {key: value for key, value in config.items() if key not in _HYDRA_KEYS}
        check_arguments(locate(config["_target_"], where), arguments, where, unlisted)
    for key, value in config.items():
        check_targets(value, f"{where}.{key}", unlisted)


def check_factory(config: Mapping[str, Any], where: str) -> None:
    """Check a part that makes its object later, with more arguments: its target, and that it is partial."""
    if "_target_" not in config:
        raise ValueError(missing_key(f"{where}._target_", "_target_", list(config)))
    if config.get("_partial_") is not True:
        raise ValueError(f"{where}._partial_={config.get('_partial_')!r}; accepted: true")
    check_targets(config, where)


def check_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], where: str, unlisted: Collection[str] = ()
) -> None:
    """Check names and plain types of the keyword arguments at the key `where`; a ValueError says what is accepted.

    Args:
        unlisted: parameters that the message for an unknown name does not list.
    """
    parameters = inspect.signature(target).parameters
    prefix = f"{where}." if where else ""
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    accepted = [name for name in parameters if name not in ("self", *unlisted)]
    for name, value in arguments.items():
        if name not in parameters and not takes_any:
            raise ValueError(unknown_key(f"{prefix}{name}", name, accepted))
        adapter = _adapter(target, name)
        if adapter is None:
            continue
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            takes_object = not _OBJECTS.isdisjoint(it["type"] for it in error.errors())
            if takes_object and isinstance(value, Mapping) and "_target_" in value:
                continue  # the object will be built
            raise ValueError(_refusal(f"{prefix}{name}", value, error)) from None


def _refusal(where: str, value: Any, error: ValidationError) -> str:
    """The message for a wrong value: names the wrong entry of a mapping, otherwise the whole value."""
    errors = error.errors()
    place, messages = errors[0]["loc"][:1], [_expected(errors[0])]
    if isinstance(value, Mapping) and place and place[0] in value:
        where, value = f"{where}.{place[0]}", value[place[0]]
    elif all(it["input"] is value for it in errors):  # of every type that a union allows
        messages = list(dict.fromkeys(_expected(it) for it in errors))
    message = " or ".join([messages[0], *(it.removeprefix("input should be ") for it in messages[1:])])
    if message.endswith("valid string") and isinstance(value, int | float):
        message += f'; in quotes it is one: "{value}"'
    return f"{where}={value!r}: {message}"


def _expected(error: Any) -> str:
    """What one error of pydantic says: of an object, which no file of conf/ can contain, what stands for it there."""
    is_of_object = error["type"] in _OBJECTS
    return "input should be a mapping with _target_" if is_of_object else str(error["msg"]).lower()


def locate(target: str, where: str) -> Callable[..., Any]:
    """The function or class that a `_target_` at the key `where` names; raises ValueError if there is none."""
    try:
        return resolve_name(target)
    except Exception as error:
        raise ValueError(f"{where}._target_={target!r} cannot be imported: {error}") from error


@lru_cache
def _adapter(target: Callable[..., Any], name: str) -> TypeAdapter[Any] | None:
    """A validator for the argument's annotation; None if it has none or is not a plain type."""
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    try:
        # This one only: another annotation may name a class that is imported for type checkers alone.
        alone = SimpleNamespace(__annotations__={name: getattr(function, "__annotations__", {}).get(name)})
        annotation = get_type_hints(alone, getattr(function, "__globals__", {})).get(name)
        if annotation in (None, type(None), Any):
            return None
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=False))
    except (NameError, TypeError, PydanticSchemaGenerationError, PydanticUserError):
        return None
