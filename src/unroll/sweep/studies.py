"""Optuna studies in a database that several processes share, or in memory for the jobs of a grid."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from optuna import Study, create_study, create_trial, get_all_study_names, logging
from optuna import load_study as load_optuna_study
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from unroll.exceptions import without_password
from unroll.files import reason
from unroll.locks import PATIENCE, study_lock
from unroll.sweep.multirun import Job
from unroll.sweep.objectives import directions_of
from unroll.sweep.ownership import GRACE, INTERVAL
from unroll.sweep.space import Space

OVERRIDES = "overrides"  # user attributes of a trial: its job's overrides,
ERROR = "error"  # and the message if it failed
OBJECTIVES = "objectives"  # user attributes of a study: the names of its objectives,
SETTINGS = "asked"  # its settings, which may not change,
PARENT = "mlflow.run"  # and the id of its MLflow run

UNUSABLE = (SQLAlchemyError, StorageInternalError, ImportError)  # errors of a storage
# What Optuna and SQLAlchemy raise for a value that is not what they wrote.
UNREADABLE = (LookupError, TypeError, AttributeError, AssertionError, json.JSONDecodeError, UnicodeDecodeError)


def study_name(job: str, overrides: Sequence[str], search: dict[str, Any]) -> str:
    """A default name, derived from the command: the order of its overrides does not matter."""
    text = " ".join([*sorted(overrides), json.dumps(search, sort_keys=True)])
    return f"{job}-{sha256(text.encode()).hexdigest()[:8]}"


def open_study(name: str, storage: str, objectives: Sequence[str], space: Space, search: dict[str, Any]) -> Study:
    """Create the study, or load it to resume it. The caller holds the study's lock.

    `search` is the configuration of the sampler and the pruner.

    Raises:
        ValueError: the storage cannot be used, or the study exists with other objectives, space or search.
    """
    with reading_study(storage):
        opened, directions = open_storage(storage), directions_of(objectives)
        study = create_study(study_name=name, storage=opened, directions=directions, load_if_exists=True)
    new = {"objectives": list(objectives), "space": space.texts(), "overrides": sorted(space.fixed), **search}
    with reading_study(storage):
        study.get_trials(deepcopy=False)  # so that what is damaged is found before the first trial
        old = study.user_attrs.get(SETTINGS)
    if old is None:
        study.set_user_attr(OBJECTIVES, list(objectives))
        study.set_user_attr(SETTINGS, new)
    elif old != new:
        changes = ", ".join(f"{key}: {old.get(key)} before, {new[key]} now" for key in new if old.get(key) != new[key])
        raise ValueError(
            f"hydra.sweeper.study={name}: the study exists with other settings ({changes}); "
            "accepted: the same settings, or another name"
        )
    return study


def load_study(name: str, storage: str, key: str = "hydra.sweeper.storage") -> Study:
    """Load an existing study; raises ValueError if the storage cannot be used, or does not contain the study.

    `key` set the storage, in messages.
    """
    file = Path(storage.removeprefix("sqlite:///"))
    if storage.startswith("sqlite:///") and file.parent.is_dir() and not file.exists():  # which opening it would create
        raise ValueError(f"study={name}: no such study in {key}={storage}; accepted: a database that exists")
    with reading_study(storage, key), study_lock(storage, key):
        opened = open_storage(storage)
        names = get_all_study_names(opened)
        if name in names:
            study = load_optuna_study(study_name=name, storage=opened)
            study.get_trials(deepcopy=False)
            return study
    accepted = ", ".join(sorted(names)) or "none, the storage is empty"
    raise ValueError(f"study={name}: no such study in {without_password(storage)}; accepted: {accepted}")


@contextmanager
def reading_study(storage: str, key: str = "hydra.sweeper.storage") -> Iterator[None]:
    """Turn what reading a study raises into a ValueError of one line: it cannot be reached, or its file is damaged."""
    try:
        yield
    except (*UNUSABLE, *UNREADABLE) as error:
        remedy = "; if the file is damaged: move it away, and sweep again" if storage.startswith("sqlite") else ""
        cause = reason(error) if isinstance(error, UNREADABLE) else str(error).strip().partition("\n")[0]
        raise ValueError(f"{key}={without_password(storage)!r} cannot be used: {cause}{remedy}") from error


def study_of_jobs(name: str, objectives: list[str], swept: dict[str, list[str]], jobs: Sequence[Job]) -> Study:
    """A study in memory with one trial per job of a grid, which can be summarised like any other.

    `swept` maps each key to its values, in the override grammar.
    """
    logging.set_verbosity(logging.WARNING)
    study = create_study(study_name=name, directions=directions_of(objectives))
    study.set_user_attr(OBJECTIVES, objectives)
    for job in jobs:
        given = dict(override.partition("=")[::2] for override in job.overrides)
        params = {key: given[key] for key in swept if key in given}
        values = job.value if isinstance(job.value, list) else [job.value]
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if job.error else TrialState.COMPLETE,
                params=params,
                distributions={key: CategoricalDistribution(swept[key]) for key in params},
                values=None if job.error else values,
                user_attrs={OVERRIDES: job.overrides} | ({ERROR: job.error} if job.error else {}),
            )
        )
    return study


def complete_trials(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def best_trials(study: Study) -> list[FrozenTrial]:
    """The best complete trial, the first if several are equal; for several objectives, all Pareto-optimal trials."""
    if not complete_trials(study):
        return []
    return [study.best_trial] if len(study.directions) == 1 else study.best_trials


_checked: set[str] = set()  # databases whose tables this process has found to be those of this version of Optuna


def open_storage(url: str) -> RDBStorage:
    """An Optuna storage that records heartbeats, by the database's clock.

    Optuna reads all its migrations to check the tables, which would take a tenth of the time of a short trial.
    """
    logging.set_verbosity(logging.WARNING)
    options = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # Optuna expects Study.optimize
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        storage = RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=INTERVAL,
            grace_period=GRACE,
            skip_compatibility_check=url in _checked,
        )
    _checked.add(url)
    return storage
