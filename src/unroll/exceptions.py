"""Exceptions that end a command, and their messages.

A ``ValueError`` is an error that the user can correct and is printed as one line, as is a refusal of the file system,
such as a full disk, and a file of conf/ that is not YAML. Other errors keep their traceback.
"""

import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unroll.checks import hint, missing_key, unknown_key
from unroll.cluster import is_speaker
from unroll.files import reason, refusal, yaml_problem

YAML, HYDRA = "yaml.error.YAMLError", "hydra.errors.HydraException"
OMEGACONF = "omegaconf.errors.OmegaConfBaseException"
MISSING_KEY = ("omegaconf.errors.ConfigAttributeError", "omegaconf.errors.ConfigKeyError")


class JobFailed(Exception):
    """A job failed and has already printed the message."""


class StoreLost(JobFailed):
    """A trial could not reach MLflow or its study; the trial itself is neither complete nor failed."""


class Pruned(Exception):
    """The pruner of a study stopped a training early."""


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM; handled like Ctrl-C, with another exit status."""


def raise_terminated() -> None:
    """Let SIGTERM raise `Terminated` in this process; only once, because the clean-up must not be interrupted."""
    received = False

    def handler(number: int, frame: Any) -> None:
        nonlocal received
        if not received:
            received = True
            raise Terminated

    signal.signal(signal.SIGTERM, handler)  # Lightning installs it again after a training


class StoreError(ValueError):
    """Something is missing from the MLflow tracking store, or it refuses a request."""


class StoreUnavailable(StoreError):
    """The MLflow tracking store cannot be used."""


def without_password(uri: str) -> str:
    """A database or server URI with its password replaced by ``***``."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the process on an error: with one line for a user error, with a traceback for a bug."""
    try:
        yield
    except JobFailed:  # its message has been printed
        sys.exit(1)
    except Exception as error:
        if not is_mistake(error):
            traceback.print_exc()
            sys.exit(1)
        sys.exit(f"error: {message(error)}" if is_speaker() else 1)


def is_mistake(error: BaseException) -> bool:
    """Whether the user can correct the error: a ``ValueError``, a refusal of the disk, an error of Hydra or YAML."""
    if isinstance(error, RecursionError):
        return _file_in_reading(error) is not None
    return isinstance(error, ValueError) or _is(error, YAML, HYDRA, OMEGACONF) or bool(refusal(error))


def message(error: BaseException) -> str:
    """The text of an error, without Hydra's search paths: the wrong value, and what is accepted."""
    if _is(error, YAML):
        return yaml_problem(error)
    if isinstance(error, UnicodeDecodeError | RecursionError):
        return f"{_file_in_reading(error) or 'a file'}: {reason(error)}"
    if not isinstance(error, ValueError) and (refused := refusal(error)):
        again = "; the same command goes on when that is mended"
        return f"{refused.path}: {refused.cause}{again}" if refused.path else f"{_first_line(error)}{again}"
    return _message_of_hydra(error) if _is(error, HYDRA, OMEGACONF) else str(error).strip()


def _is(value: object, *names: str) -> bool:
    """Whether a value is of one of the classes, or of one derived from them.

    By their full names, because a plain installation does not have their packages.
    """
    return not {f"{it.__module__}.{it.__qualname__}" for it in type(value).__mro__}.isdisjoint(names)


def _message_of_hydra(error: Any) -> str:
    """The text of an error of Hydra or OmegaConf."""
    if _is(error, "hydra.errors.MissingConfigException") and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        by = re.match("In '(.+?)'", str(error))  # the file whose defaults name the choice
        is_typed = any(argument.lstrip("+") == f"{group}={choice}" for argument in sys.argv[1:])
        where = f" (in conf/{by[1]}.yaml)" if by and not is_typed else ""
        return f"{group}={choice}: no such choice{where}; accepted: {', '.join(error.options)}"
    if said := _wrong_default(str(error)):
        return said
    if _is(error, "hydra.errors.OverrideParseException"):
        return f"{error.override!r} cannot be read ({str(error).splitlines()[0]}); accepted: key=value"
    culprit = error.__cause__ if _is(error, HYDRA) else error
    if culprit is not None and not str(error).strip():  # Hydra has wrapped the cause in an error without a text
        return message(culprit)
    is_instantiation = _is(error, "hydra.errors.InstantiationException")
    if is_instantiation and isinstance(culprit, ValueError):
        return str(culprit)
    if is_instantiation and (place := re.search(r"^full_key: (\S+)", str(error), re.MULTILINE)):
        return f"{place[1]}: {_first_line(error)}"
    if _is(culprit, *MISSING_KEY) and _is(culprit.parent_node, "omegaconf.dictconfig.DictConfig"):
        accepted = [str(key) for key in culprit.parent_node if key != "hydra"]
        name, last = str(culprit.full_key or culprit.key), str(culprit.key)
        if name.startswith("hydra.runtime.choices."):  # where Hydra keeps the choice of each group
            return f"the defaults list no {last}"
        group = name.rpartition(".")[0]
        if not accepted and group:
            return f"{name}: missing, as is every key of {group}; is its file in conf/{group}/ empty?"
        # The code reads a key that must be there; an override is Hydra's error, of a key that nothing reads.
        return unknown_key(name, last, accepted) if error is not culprit else missing_key(name, last, accepted)
    key = getattr(error, "full_key", None)  # the other lines are search paths and Python types
    return f"{key}: {_first_line(error)}" if key else _first_line(error)


def _wrong_default(text: str) -> str | None:
    """What is wrong with a file of conf/ whose defaults name no file of a group that there is; None of other errors."""
    found = re.match(r"In '(.+?)': Could not (?:load|find) '(.+)/(.+?)'", text)
    accepted = sorted(it.stem for it in Path("conf", found[2]).glob("*.yaml")) if found else []
    if found is None or not accepted:
        return None
    return (
        f"conf/{found[1]}.yaml: its defaults name {found[3]}, which is no file in conf/{found[2]}"
        f"{hint(found[3], accepted)}; accepted: {', '.join(accepted)}"
    )


def _file_in_reading(error: BaseException) -> str | None:
    """The file that a library was reading: the last one that is open in a frame of the traceback."""
    found, frame = None, error.__traceback__
    while frame is not None:
        for value in frame.tb_frame.f_locals.values():
            name = getattr(value, "name", None)
            if isinstance(name, str) and hasattr(value, "readable") and not name.startswith("<"):
                found = name
        frame = frame.tb_next
    return found


def _first_line(error: BaseException) -> str:
    """The first line of the text of an error, and the next one if that is what it announces."""
    first, _, others = str(error).strip().partition("\n")
    return f"{first} {others.strip().partition(chr(10))[0]}" if first.endswith(":") else first
