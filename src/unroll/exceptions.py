"""Exceptions that end a command, and their messages.

A ``ValueError`` is an error that the user can correct and is printed as one line; other errors keep their traceback.
"""

import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unroll.checks import unknown_key


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
        sys.exit(f"error: {message(error)}")


def is_mistake(error: BaseException) -> bool:
    """Whether the user can correct the error: a ``ValueError``, or an error of Hydra or OmegaConf."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return isinstance(error, HydraException | OmegaConfBaseException | ValueError)


def message(error: BaseException) -> str:
    """The text of an error, without Hydra's search paths: the wrong value, and what is accepted."""
    from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
    from omegaconf import DictConfig
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: no such choice; accepted: {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read ({str(error).splitlines()[0]}); accepted: key=value"
    culprit = error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(error, InstantiationException) and isinstance(culprit, ValueError):
        return str(culprit)
    if isinstance(culprit, ConfigAttributeError | ConfigKeyError) and isinstance(culprit.parent_node, DictConfig):
        accepted = [str(key) for key in culprit.parent_node if key != "hydra"]
        return unknown_key(str(culprit.full_key or culprit.key), str(culprit.key), accepted)
    return str(error).strip()
