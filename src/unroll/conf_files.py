"""The files of conf/ that a command composes: their form, and the one that an error is about."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unroll.exceptions import message
from unroll.files import read_yaml

STAGE = "hydra/stage"  # Hydra's settings of every stage


def check_primary(project: Path, stage: str) -> None:
    """Check what Hydra needs of a stage's configuration and of `STAGE`, before it composes them.

    Raises:
        ValueError: a file is missing, is no mapping, has no `defaults`, or has a callback without a class.
    """
    for name, part in ((stage, ("hydra", "callbacks")), (STAGE, ("callbacks",))):
        content = _mapping(project, name)
        defaults = content.get("defaults")
        if not isinstance(defaults, list) or not all(isinstance(it, str | dict) for it in defaults):
            raise ValueError(broken(f"conf/{name}.yaml", "has no list of defaults"))
        if name in defaults:
            raise ValueError(broken(f"conf/{name}.yaml", "lists itself in its defaults"))
        callbacks: Any = content
        for key in part:
            callbacks = callbacks.get(key, {}) if isinstance(callbacks, dict) else None
        if not isinstance(callbacks, dict) or not all(_has_class(it) for it in callbacks.values()):
            raise ValueError(broken(f"conf/{name}.yaml", f"{'.'.join(part)} is not a class (_target_) for each name"))


def check_choice_file(group: str, choice: str) -> None:
    """Raise ValueError if the file of a choice has no keys: Hydra composes it without an error."""
    file = Path("conf", group, f"{choice}.yaml")
    if file.is_file() and not _is_mapping(read_yaml(file)):
        raise ValueError(f"{group}={choice}: {broken(str(file), 'has no keys')}")


def groups_and_keys(project: Path, stage: str) -> list[str]:
    """What a command line can set: the groups in the defaults of a stage, and its own keys."""
    content = _mapping(project, stage)
    groups = [str(group) for it in content["defaults"] if isinstance(it, dict) for group in it]
    return [str(it) for it in dict.fromkeys([*groups, *content]) if it not in ("defaults", "hydra")]


def message_with_file(
    error: BaseException, typed: Sequence[str], stage: str, choices: Mapping[str, Any] | None = None
) -> str:
    """The message of an error, with the file of conf/ that sets the wrong key unless a key that was typed is wrong.

    Args:
        typed: the overrides of the command line.
        stage: the primary configuration.
        choices: of the groups; by default those of the running command.
    """
    text = message(error)
    found = re.match(r"(\w+)(?:\.\w+)*(?=[:=\[])", text)  # the key that the message begins with
    is_typed = found is not None and any(_sets(it, found[0]) for it in typed)
    is_unknown = found is not None and found[0] == found[1] and ": unknown key" in text  # to the primary configuration
    if "conf/" in text or (is_typed and not is_unknown) or isinstance(error, OverrideParseException):
        return text
    if found is not None and found[1] == "hydra":
        parts = found[0].split(".")
        groups = [Path("conf", *parts[:length]) for length in range(len(parts), 1, -1)]
        if group := next((it for it in groups if it.is_dir()), None):
            return f"{text}; see {group}/"
        return f"{text}; see conf/{stage}.yaml and conf/{STAGE}.yaml"
    if choices is None:
        choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    if found is not None and choices.get(found[1]) is not None:
        return f"{text}; see conf/{found[1]}/{choices[found[1]]}.yaml"
    is_key = found is not None and (is_unknown or ": missing key" in text or found[1] in _mapping(Path.cwd(), stage))
    is_of_hydra = isinstance(error, HydraException | OmegaConfBaseException)
    return f"{text}; see conf/{stage}.yaml" if is_key or is_of_hydra else text


def typed_overrides(overrides: Any) -> list[str]:
    """The overrides in a list of `hydra.overrides` as they were typed: reading it resolves their ``${…}``."""
    return [str(it) for it in OmegaConf.to_container(overrides, resolve=False)]  # type: ignore[union-attr]


def _sets(override: str, key: str) -> bool:
    """Whether an override, as it is typed, sets a key or a part of it."""
    return f"{override.lstrip('+~').partition('=')[0]}.".startswith(f"{key}.")


def _mapping(project: Path, name: str) -> dict[str, Any]:
    file = project / "conf" / f"{name}.yaml"
    if not file.exists():
        raise ValueError(broken(f"conf/{name}.yaml", "does not exist"))
    content = read_yaml(file)
    if not _is_mapping(content):
        raise ValueError(broken(f"conf/{name}.yaml", "has no keys"))
    return dict(content)


def _is_mapping(content: object) -> bool:
    return isinstance(content, Mapping) and bool(content)


def _has_class(callback: object) -> bool:
    return isinstance(callback, dict) and isinstance(callback.get("_target_"), str)


def broken(file: str, what: str) -> str:
    """What is wrong with a file of conf/, and how to restore it."""
    return f"{file} {what}; to restore it: git checkout {file}"
