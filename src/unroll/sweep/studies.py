"""Studies in their storage: opened by several processes at once, and each trial worked on by one of them."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from optuna import Study, create_study, get_all_study_names, logging
from optuna import load_study as load_optuna_study
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from unroll.sweep.heartbeat import beat, heartbeat_storage, silent_trials
from unroll.sweep.lock import study_lock
from unroll.sweep.owner import is_alive, is_here, this_process
from unroll.tracking.offline import without_password

if TYPE_CHECKING:
    from unroll.sweep.space import Space

Direction = Literal["maximize", "minimize"]
OVERRIDES = "overrides"  # attributes of a trial: what its job was given,
SWEEPER = "sweeper"  # the process that asked for it,
WORKER = "worker"  # and the one that runs the job
ERROR = "error"
OBJECTIVES = "objectives"  # of a study: the names of its values,
PARENT = "mlflow.run"  # and its run in MLflow


def study_name(job: str, overrides: Sequence[str]) -> str:
    """The name of a study that was given none: the same command has the same."""
    return f"{job}-{sha256(' '.join(sorted(overrides)).encode()).hexdigest()[:8]}"


def open_study(
    name: str, storage: str, directions: Sequence[Direction], objectives: Sequence[str], space: "Space"
) -> Study:
    """Create the study, or go on with it. To be called under its lock.

    Raises:
        ValueError: the storage cannot be used, or the study was begun with another space or other directions.
    """
    try:
        study = create_study(
            study_name=name, storage=_storage(storage), directions=list(directions), load_if_exists=True
        )
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise ValueError(f"hydra.sweeper.storage={without_password(storage)!r} cannot be used: {error}") from error
    asked: dict[str, Any] = {
        "directions": list(directions),
        "space": space.texts(),
        "overrides": sorted(space.fixed),
    }
    begun = study.user_attrs.get("asked")
    if begun is None:
        study.set_user_attr(OBJECTIVES, list(objectives))
        study.set_user_attr("asked", asked)
    elif begun != asked:
        changes = ", ".join(f"{key}: {begun[key]} then, {asked[key]} now" for key in asked if begun[key] != asked[key])
        raise ValueError(
            f"study {name} was begun otherwise ({changes}); accepted: the same, or another hydra.sweeper.study"
        )
    return study


def load_study(name: str, storage: str) -> Study:
    """A study that exists.

    Raises:
        ValueError: the storage cannot be used, or has no such study.
    """
    try:
        with study_lock(storage):
            opened = _storage(storage)
            names = get_all_study_names(opened)
            if name in names:
                return load_optuna_study(study_name=name, storage=opened)
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise ValueError(f"storage={without_password(storage)!r} cannot be used: {error}") from error
    accepted = ", ".join(sorted(names)) or "there is none"
    raise ValueError(f"study={name}: no such study in {without_password(storage)}; accepted: {accepted}")


def best_trials(study: Study) -> list[FrozenTrial]:
    """The best complete trial, the first of equals; for several objectives, all those that no other beats."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        return []
    return [study.best_trial] if len(study.directions) == 1 else study.best_trials


def is_waiting_for_orphans(study: Study) -> bool:
    """Whether a job runs on whose sweeper is gone: it may still write into its folder."""
    silent = silent_trials(study)
    return any(
        not _lives(trial, SWEEPER, silent) and _lives(trial, WORKER, silent)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    )


def abandoned_trials(study: Study) -> list[Trial]:
    """Those that nobody works on any more, ready to be gone on with. To be called under the study's lock."""
    silent = silent_trials(study)
    return [
        Trial(study, trial._trial_id)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        if not _lives(trial, SWEEPER, silent) and not _lives(trial, WORKER, silent)
    ]


def take(trial: Trial, overrides: list[str]) -> None:
    """Make this process the trial's owner."""
    beat(trial)
    trial.set_user_attr(SWEEPER, this_process())
    trial.set_user_attr(OVERRIDES, overrides)


def _lives(trial: FrozenTrial, role: str, silent: set[int]) -> bool:
    """Whether a process has that role: one of this machine that runs, or one of another that gives signs."""
    owner = trial.user_attrs.get(role)
    if owner is None:
        return False
    return is_alive(owner) if is_here(owner) else trial._trial_id not in silent


def _storage(url: str) -> BaseStorage:
    logging.set_verbosity(logging.WARNING)
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return heartbeat_storage(url, wait)
