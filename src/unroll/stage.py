"""Turns a function of a configuration into a command: a Hydra app that reports user errors in one line."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from unroll.checks import check_name
from unroll.exceptions import JobFailed, Pruned, Terminated, clear_errors, is_mistake, message, raise_terminated
from unroll.keys import accept_keys
from unroll.parent import end_with_dvc
from unroll.project import database_folder, project_root
from unroll.sweep.multirun import Job, at_end, write_job

log = logging.getLogger("unroll")
accept_keys()  # here, because processes of launchers compose configurations as soon as they have imported this module


def stage(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
    """Decorate the function of `pipelines/NAME.py`, whose primary configuration is `conf/NAME.yaml`.

    A ValueError is a user error: its message is printed, and the command ends with status 1. Any other exception is a
    bug and is printed with its traceback. In a multirun the function returns the values of the sweep's objectives. A
    failed job prints its error and does not stop the others; the errors are listed again at the end.
    """
    script = Path(task.__code__.co_filename).resolve()
    project = script.parent.parent

    @functools.wraps(task)
    def job(config: DictConfig) -> Any:
        sweeper = HydraConfig.get().sweeper
        if sweeper.get("trial") is None:
            return _run(task, config)
        from unroll.sweep.trials import run_trial

        return run_trial(sweeper, lambda: _run(task, config))  # records the result in the study

    def command() -> None:
        set_environment(project)
        raise_terminated()
        end_with_dvc()
        app = hydra.main(version_base="1.3", config_path=str(project / "conf"), config_name=script.stem)(job)
        try:
            with clear_errors(), at_end:
                _enter(project)
                app()
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))

    return command


def _enter(project: Path) -> None:
    """Make the project the current folder, to which all paths are relative; check that its own code runs."""
    if (project / "src" / "unroll").is_dir() and project != project_root():
        raise ValueError(
            f"{project}/pipelines would run with the code of {project_root()}; accepted: a script that begins with "
            "`from _stage import stage`, as those of the project do"
        )
    here = Path.cwd()
    for argument in sys.argv[1:]:
        value = Path(argument.partition("=")[2])
        if (
            (len(value.parts) > 1 or value.suffix)
            and os.path.exists(here / value)
            and not os.path.exists(project / value)
        ):
            raise ValueError(f"{argument}: paths are relative to {project}; accepted: {here / value}")
    os.chdir(project)


def _run(task: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Run the task, and report its error; in a multirun the other jobs then still run."""
    try:
        if HydraConfig.get().job.chdir:
            raise ValueError("hydra.job.chdir=true; accepted: false, because paths are relative to the project")
        for group, choice in HydraConfig.get().runtime.choices.items():
            if choice is not None and not group.startswith("hydra/"):
                check_name(group, choice)
        value = task(config)
    except Pruned:
        raise
    except Exception as error:
        reason = message(error) if is_mistake(error) else repr(error)
        if is_mistake(error):
            log.error("error: %s", reason)
        else:
            log.exception("this is a bug in unroll or in a library that it uses:")
        _record(error=reason)
        raise JobFailed(reason) if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit(1) from error
    _record(value=value)
    return value


def _record(value: Any = None, error: str | None = None) -> None:
    """In a multirun, write the result of the job into its folder, for the summary of the sweep."""
    hydra_config: Any = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        trial, parent = hydra_config.sweeper.get("trial"), OmegaConf.select(hydra_config, "callbacks.parent.run_id")
        number = hydra_config.job.num if trial is None else trial
        job = Job(number, list(hydra_config.overrides.task), value, error, parent)
        write_job(Path(hydra_config.runtime.output_dir), job)


def set_environment(project: Path) -> None:
    """Set environment variables that third-party libraries read; values that the user has set are kept."""
    defaults = {
        "HYDRA_FULL_ERROR": "1",  # lets errors reach `command`
        "OMP_NUM_THREADS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # A command waits for at most two failed requests: 2 * 2 * 7 seconds (see tracking/offline.py).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "7",
        "PGCONNECT_TIMEOUT": "7",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{database_folder(project)}/mlflow.db",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
