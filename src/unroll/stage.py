"""Turns a function of a configuration into a command: a Hydra app that reports user errors in one line."""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unroll.checks import LARGEST_SEED, SEEDS, check_name, unknown_key
from unroll.cluster import Cluster, is_speaker
from unroll.conf_files import check_choice_file, check_primary, groups_and_keys, message_with_file, typed_overrides
from unroll.exceptions import JobFailed, Pruned, Terminated, clear_errors, is_mistake, raise_terminated
from unroll.files import unwritable
from unroll.keys import accept_keys
from unroll.parent import end_with_dvc
from unroll.project import project_root, set_environment
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
            with clear_errors(), at_end, _naming_files(script.stem):
                _enter(project)
                app()
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT))

    return command


@contextmanager
def _naming_files(stage: str) -> Iterator[None]:
    """Name in the error of a composition the file of conf/ that it is about, or the folder that Hydra cannot create."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError) and Path(error.filename or "").absolute() in OutputFolder.created:
            raise unwritable(Path(error.filename), error) from error
        if not is_mistake(error):
            raise
        raise ValueError(message_with_file(error, sys.argv[1:], stage)) from error


def _enter(project: Path) -> None:
    """Make the project the current folder, to which all paths are relative; check its code and the overrides."""
    if (project / "src" / "unroll").is_dir() and project != project_root():
        raise ValueError(
            f"{project}/pipelines would run with the code of {project_root()}; accepted: a script that begins with "
            "`from _stage import stage`, as those of the project do"
        )
    check_primary(project, Path(sys.argv[0]).stem)
    here, arguments = Path.cwd(), [it for it in sys.argv[1:] if it.startswith("~") or "=" in it.lstrip("-")]
    for argument in arguments:
        value = Path(argument.partition("=")[2])
        if (
            (len(value.parts) > 1 or value.suffix)
            and os.path.exists(here / value)
            and not os.path.exists(project / value)
        ):
            raise ValueError(f"{argument}: paths are relative to {project}; accepted: {here / value}")
    accepted = groups_and_keys(project, Path(sys.argv[0]).stem)
    _check_options(accepted)
    is_multirun = any(it.startswith(("-m", "--m", "hydra.mode=")) for it in sys.argv[1:])
    if is_multirun and (cluster := Cluster.here()) is not None:
        raise ValueError(
            f"-m by {cluster.starter}, which has started {cluster.processes} of this command; accepted: one "
            "training, or hydra/launcher=submitit_slurm without it"
        )
    for override in OverridesParser.create().parse_overrides([it for it in arguments if not it.startswith("-")]):
        if not override.key_or_group.startswith("hydra"):
            _check_override(override, project / "conf", accepted, is_multirun)
    os.chdir(project)


def _check_options(accepted: list[str]) -> None:
    """Refuse in one line the options that Hydra does not have, such as those of other programs for keys.

    Args:
        accepted: the groups and keys of the stage.
    """
    example = "trainer.max_epochs=3" if "trainer" in accepted else f"{accepted[0]}=VALUE" if accepted else None

    def refuse(message: str) -> NoReturn:
        raise ValueError(f"{message}; accepted: key=value" + (f", such as {example}" if example else ""))

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    _, others = parser.parse_known_args()
    if option := next((it for it in others if it.startswith("-")), None):
        refuse(f"{option}: no such option")
    if others:
        raise ValueError(f"{others[0]}: after an option between overrides; accepted: options before all key=value")


def _check_override(override: Override, conf: Path, accepted: list[str], is_multirun: bool) -> None:
    """Refuse what Hydra would refuse without the name of the key, or would create a folder for.

    Args:
        accepted: the groups and keys of the stage.
    """
    key, written = override.key_or_group, override.input_line or ""
    if not key:
        raise ValueError(f"{written}: no key; accepted: KEY=VALUE")
    if (conf / key).is_dir() and key not in accepted:
        raise ValueError(unknown_key(key, key, accepted))
    if override.package is not None:
        raise ValueError(f"{written}: a group has one place; accepted: {key}=NAME")
    choices = sorted(file.stem for file in (conf / key).glob("*.yaml"))
    if override.is_sweep_override():
        if not is_multirun:
            raise ValueError(f"{written}: several values; accepted: one, several with -m, or a list: {key}=[…]")
        swept = override.value()
        if isinstance(swept, ChoiceSweep):
            for value in swept.list:
                _check_value(key, f"{key}={value}", value, choices)
        return
    if override.is_delete() and "." not in key:
        raise ValueError(f"{written}: every command needs this key; accepted: {key}=VALUE, ~{key}.PART")
    _check_value(key, written, override.value(), choices)


def _check_value(key: str, written: str, value: Any, choices: list[str]) -> None:
    """Refuse a value that is no name or number of a folder: Hydra makes the folder before anything else is checked."""
    if choices and "/" in str(value):
        check_name(key, value)
    if choices and value not in choices:
        raise ValueError(f"{written}: no such choice; accepted: {', '.join(choices)}")
    is_seed = (type(value) is int and 0 <= value <= LARGEST_SEED) or str(value).startswith(("${", "???"))
    if key == "seed" and not is_seed:
        raise ValueError(f"{written}; accepted: a whole number {SEEDS}")


class OutputFolder(Callback):
    """Hydra callback that creates the output folder of a single run, as Hydra would, and keeps what it created.

    So a task that refuses its options or writes elsewhere leaves no empty folder, and no folder of others is deleted.
    """

    created: ClassVar[list[Path]] = []  # the folder and those above it that did not exist, the innermost first

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)  # what ${hydra:…} reads
            folder = Path(config.hydra.run.dir).absolute()
        except OmegaConfBaseException:  # Hydra turns an error of a callback into a warning, and raises it again itself
            return
        finally:
            HydraConfig.instance().cfg = before
        OutputFolder.created += [it for it in (folder, *folder.parents) if not it.exists()]
        for _ in range(10):  # another command may delete its own empty folders above this one at the same time
            with suppress(OSError):  # Hydra's attempt, which follows, raises it again
                folder.mkdir(parents=True, exist_ok=True)
                break

    @staticmethod
    def delete_empty() -> None:
        """Delete what was created and is empty."""
        with suppress(OSError):
            for folder in OutputFolder.created:
                folder.rmdir()


def _run(task: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Run the task, and report its error; in a multirun the other jobs then still run."""
    try:
        if HydraConfig.get().job.chdir:
            raise ValueError("hydra.job.chdir=true; accepted: false, because paths are relative to the project")
        for group, choice in HydraConfig.get().runtime.choices.items():
            if choice is not None and not group.startswith("hydra/"):
                check_name(group, choice)
                check_choice_file(group, choice)
        value = task(config)
    except Pruned:
        raise
    except JobFailed as error:  # its message has been printed
        raise error if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit(1) from error
    except Exception as error:
        reason = repr(error)
        if is_mistake(error):
            job, overrides = HydraConfig.get().job, HydraConfig.get().overrides
            typed = [*typed_overrides(overrides.hydra), *typed_overrides(overrides.task)]
            reason = message_with_file(error, typed, str(job.config_name))
            if is_speaker():
                log.error("error: %s", reason)
        else:
            log.exception("this is a bug in unroll or in a library that it uses:")
        _record(error=reason)
        raise JobFailed(reason) if HydraConfig.get().mode == RunMode.MULTIRUN else SystemExit(1) from error
    finally:
        OutputFolder.delete_empty()
    _record(value=value)
    return value


def _record(value: Any = None, error: str | None = None) -> None:
    """In a multirun, write the result of the job into its folder, for the summary of the sweep."""
    hydra_config: Any = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        trial, parent = hydra_config.sweeper.get("trial"), OmegaConf.select(hydra_config, "callbacks.parent.run_id")
        number = hydra_config.job.num if trial is None else trial
        job = Job(number, typed_overrides(hydra_config.overrides.task), value, error, parent)
        write_job(Path(hydra_config.runtime.output_dir), job)
