"""Turns a function of a configuration into a command: a Hydra app whose user errors are one line, not a traceback."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from unroll.config.check import unknown_key
from unroll.sweep.jobs import Job, write_job
from unroll.sweep.outcomes import JobFailed, Pruned, Terminated

log = logging.getLogger("unroll")
at_end = ExitStack()  # what a Hydra callback wants done when the command ends, and not only when it ends well


def stage(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
    """Decorate the function of `pipelines/NAME.py`, whose primary configuration is `conf/NAME.yaml`.

    A ValueError is the user's to mend: it is printed as one message, and the command ends with status 1. Anything else
    is a bug and keeps its traceback. In a multirun the function returns what the sweep is to compare; a job that fails
    says so when it does and again at the end, and the others run on.
    """
    script = Path(task.__code__.co_filename).resolve()
    project = script.parent.parent

    @functools.wraps(task)
    def job(config: DictConfig) -> Any:
        try:
            value = task(config)
        except Pruned:
            raise
        except (ValueError, OmegaConfBaseException, HydraException) as error:
            log.error("error: %s", _message(error))
            raise _failure(_message(error)) from error
        except Exception as error:
            log.exception("this is a bug in unroll, or in what it calls:")
            raise _failure(repr(error)) from error
        _record(value=value)
        return value

    def command() -> None:
        set_environment(project)
        signal.signal(signal.SIGTERM, _terminate)
        app = hydra.main(version_base="1.3", config_path=str(project / "conf"), config_name=script.stem)(job)
        try:
            with at_end:
                app()
        except JobFailed:
            sys.exit(1)
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            sys.exit(f"error: {_message(error)}")

    return command


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _failure(message: str) -> BaseException:
    """What ends a job that has said why: in a multirun the others run on, and a single run just ends."""
    _record(error=message)
    return JobFailed(message) if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit(1)


def _record(value: Any = None, error: str | None = None) -> None:
    """In a multirun, leave what came of the job in its folder, where the end of the sweep finds it."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        number, overrides = int(hydra_config.sweep.subdir), list(hydra_config.overrides.task)
        write_job(Path(hydra_config.runtime.output_dir), Job(number, overrides, value, error))


def set_environment(project: Path) -> None:
    """Defaults that third-party libraries read from the environment; what the user has set stays."""
    defaults = {
        "HYDRA_FULL_ERROR": "1",  # lets errors reach `command`
        "OMP_NUM_THREADS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Two failed requests are what a command waits for at most: 2 * 2 * 7 seconds (see tracking/offline.py).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
        "PGCONNECT_TIMEOUT": "7",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{_home(project)}/mlflow.db",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _home(project: Path) -> Path:
    """The project whose database is meant: `dvc exp run --queue` works in a copy under .dvc/tmp."""
    return next((parent.parent for parent in project.parents if parent.name == ".dvc"), project)


def _message(error: BaseException) -> str:
    """What the error says to a person: the culprit and what is accepted, without Hydra's search paths."""
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
